"""What a restore at boot owes: whoever was due and did not come back is due still, and nobody is started twice over."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lastcall
from lastcall import Guest, GuestState, Reason
from lastcall.errors import HypervisorError
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.state import StateFile, open_state
from lastcall.testing.memory import FakeGuest, FakeHypervisor, run_restore, run_shutdown

OFF, RUNNING = GuestState.OFF, GuestState.RUNNING
A, B = "fake:///a", "fake:///b"
ABORTS = "hooks: {plugins: {says: {on_failure: abort}}}"
SKIPS = "hooks: {plugins: {says: {on_failure: skip_guest}}}"
ONE_BY_ONE = "restore: {parallel: 1, deadline: 30s, retry: 20s, attempts: 3}"
ALWAYS = "defaults: {restore: always}"


class Aborts:
    @lastcall.hookimpl
    def pre_restore(self) -> None:
        raise lastcall.HookFailed("storage is not there")


class Skips:
    @lastcall.hookimpl
    def on_guest_start(self) -> None:
        raise lastcall.HookFailed("not today")


def due(folder: Path, *guests: FakeGuest) -> None:
    """A list of guests that the host stop before this boot has left."""
    state = StateFile(folder)
    state.add([replace(one.guest, state=RUNNING) for one in guests], run="r", boot_id="before", cause="host", due=True)
    state.stamp("before")
    state.save()


def due_next(folder: Path, guests: list[FakeGuest]) -> list[str]:
    """Who is due at the boot after the next host stop."""
    run_shutdown(folder, guests, reason=Reason.POWEROFF)
    state = open_state(folder)
    state.stamp("next")
    return sorted(entry.name for entry in state.entries.values() if entry.is_due_from(state.previous_boot))


MISSED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "its deadline ends": ({"starts_after": 9}, {"config": ONE_BY_ONE}),
    "a plugin aborts it": ({}, {"plugins": {"says": Aborts()}, "config": ABORTS}),
    "a disk is not there": ({"lacks": "/mnt/disk"}, {}),
    "its connection is dead": ({"uri": B}, {"dead": [B], "config": f"connections: [{{uri: '{B}', optional: true}}]"}),
}


@pytest.mark.parametrize("how", MISSED)
def test_whoever_a_boot_has_missed_is_due_at_the_next_one(tmp_path: Path, how: str) -> None:
    of_guest, of_run = MISSED[how]
    first, second = FakeGuest("first", state=OFF, **of_guest), FakeGuest("second", state=OFF)
    due(tmp_path, first, second)
    run_restore(tmp_path, [first, second], at_boot=True, **of_run)
    assert first.state is OFF
    assert due_next(tmp_path, [first, second]) == ["first", "second"]


def test_whoever_was_answered_is_not_due_once_more(tmp_path: Path) -> None:
    refused, skipped = FakeGuest("refused", state=OFF, starts_after=9), FakeGuest("skipped", state=OFF)
    due(tmp_path, refused)
    run_restore(tmp_path, [refused], at_boot=True)
    assert due_next(tmp_path, [refused]) == []
    other = tmp_path / "other"
    due(other, skipped)
    run_restore(other, [skipped], at_boot=True, plugins={"says": Skips()}, config=SKIPS)
    assert due_next(other, [skipped]) == []


def test_whoever_is_to_run_always_is_seen_to_once_a_boot_whatever_another_connection_does(tmp_path: Path) -> None:
    """The unit is begun again every minute then."""
    guest, waits = FakeGuest("guest", uri=A, state=OFF), FakeGuest("waits", uri=B, state=OFF)
    due(tmp_path, waits)
    run_restore(tmp_path, [guest, waits], at_boot=True, config=ALWAYS, dead=[B])
    assert guest.state is RUNNING
    guest.state = OFF  # somebody has shut it down
    run_restore(tmp_path, [guest, waits], at_boot=True, config=ALWAYS, dead=[B])
    assert guest.state is OFF
    beside = FakeGuest("beside", uri=B, state=OFF)
    run_restore(tmp_path, [guest, waits, beside], at_boot=True, config=ALWAYS)
    assert (guest.state, waits.state, beside.state) == (OFF, RUNNING, RUNNING)
    state = open_state(tmp_path)
    assert state.restored_in == boot_id()
    state.stamp("next")
    assert not state.served, "the next boot begins anew"


def test_a_connection_that_lists_nobody_is_seen_to_by_the_next_restore_of_this_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest = FakeGuest("guest", uri=A, state=OFF)

    async def refused(_: FakeHypervisor, uri: str) -> list[Guest]:
        raise HypervisorError(f"{uri} lists nobody")

    with monkeypatch.context() as patched:
        patched.setattr(FakeHypervisor, "inactive", refused)
        run_restore(tmp_path, [guest], at_boot=True, config=ALWAYS)
    state = open_state(tmp_path)
    assert (guest.state, state.served) == (OFF, frozenset())
