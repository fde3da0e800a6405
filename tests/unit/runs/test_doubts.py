"""What an earlier run has left open of a guest stays on the list until it is answered, whatever runs come between."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lastcall
from lastcall import Ended, GuestState, Outcome, Reason
from lastcall.hypervisor.ports import GuestFacts
from lastcall.persistence.state import StateFile
from lastcall.runs.shutdown import Shutdown
from lastcall.testing.memory import FakeGuest, FakeHypervisor, run_restore, run_shutdown, run_sleep
from support import by_name

HB, HC = "qemu+tls://hb/system", "qemu+tls://hc/system"
RUNNING, OFF, PAUSED = GuestState.RUNNING, GuestState.OFF, GuestState.PAUSED
ABORTS = "hooks: {plugins: {aborts: {on_failure: abort}}}"
ONE_BY_ONE = "shutdown: {parallel: 1}\nguests: [{match: other, depends_on: [web]}]"


class Aborts:
    @lastcall.hookimpl
    def pre_shutdown(self) -> None:
        raise lastcall.HookFailed("no")


def listed(folder: Path, guest: FakeGuest, **marks: Any) -> None:
    """A list with this guest, as an earlier run has left it."""
    state = StateFile(folder)
    state.add([replace(guest.guest, state=RUNNING)], run="earlier", boot_id="before", cause="host", due=True)
    state.entries[guest.guest.key] = replace(state.entries[guest.guest.key], **marks)
    state.save()


def entry(folder: Path) -> dict[str, Any]:
    """What the list says of `web`; nothing where it is not on it."""
    entries: list[dict[str, Any]] = json.loads((folder / "state.json").read_text())["guests"]
    found = [one for one in entries if one["name"] == "web"]
    return found[0] if found else {}


def doings(guest: FakeGuest) -> list[str]:
    return [what for _, what in guest.asked]


def interrupted(hypervisor: FakeHypervisor, run: Shutdown) -> None:
    hypervisor.loop.call_later(5, run.interrupt)


def aborted(folder: Path, guests: Sequence[FakeGuest]) -> None:
    run_shutdown(folder, guests, plugins={"aborts": Aborts()}, config=ABORTS)


def stopped_before_its_turn(folder: Path, guests: Sequence[FakeGuest]) -> None:
    other = FakeGuest("other", takes=20)
    run_shutdown(folder, [*guests, other], config=ONE_BY_ONE, meanwhile=interrupted)


def unseen(folder: Path, guests: Sequence[FakeGuest]) -> None:
    for guest in guests:
        guest.refuses |= {"look"}
    run_shutdown(folder, guests)


def unmanaged(folder: Path, guests: Sequence[FakeGuest]) -> None:
    run_shutdown(folder, guests, config="defaults: {manage: false}")


Between = Callable[[Path, Sequence[FakeGuest]], object]
LEAVING: dict[str, Between] = {
    "aborted": aborted,
    "stopped before its turn": stopped_before_its_turn,
    "it cannot be looked at": unseen,
    "it is none of ours": unmanaged,
}
STOPPING: dict[str, Between] = {
    "by hand": run_shutdown,
    "by name": lambda folder, guests: run_shutdown(folder, guests, names=["web"]),
    "with the host": lambda folder, guests: run_shutdown(folder, guests, reason=Reason.POWEROFF),
    "for want of power": lambda folder, guests: run_shutdown(folder, guests, reason=Reason.SHED),
    "for a sleep": lambda folder, guests: run_sleep(folder, guests, config="defaults: {sleep: save}"),
}


@pytest.mark.parametrize("between", STOPPING | LEAVING)
def test_at_which_silent_hosts_a_guest_may_be_is_forgotten_by_no_run_in_between(tmp_path: Path, between: str) -> None:
    guest = FakeGuest("web")
    listed(tmp_path, guest, where=(HB, HC))
    (STOPPING | LEAVING)[between](tmp_path, [guest])
    assert entry(tmp_path)["where"] == [HB, HC]
    guest.state, guest.elsewhere, guest.refuses = OFF, {HB: RUNNING, HC: OFF}, frozenset()
    guest.asked.clear()
    run_restore(tmp_path, [guest], names=["web"])
    assert "start" not in doings(guest), "it runs at hb"


def test_a_guest_in_doubt_that_runs_here_at_each_restore_never_comes_to_run_twice(tmp_path: Path) -> None:
    guest = FakeGuest("web")
    listed(tmp_path, guest, where=(HB,))
    for _ in range(2):
        run_restore(tmp_path, [guest])  # hb says nothing
        run_shutdown(tmp_path, [guest])
        guest.state = RUNNING  # somebody starts it
    guest.state, guest.elsewhere = OFF, {HB: RUNNING}
    guest.asked.clear()
    run_restore(tmp_path, [guest])
    assert doings(guest) == ["fetch by shared"]


def test_a_guest_that_is_stopped_once_more_comes_back_where_the_host_in_doubt_says_that_it_is_off(
    tmp_path: Path,
) -> None:
    guest = FakeGuest("web", elsewhere={HB: OFF})
    listed(tmp_path, guest, where=(HB,))
    run_shutdown(tmp_path, [guest])
    assert by_name(run_restore(tmp_path, [guest]), "web").outcome is Outcome.STARTED
    assert entry(tmp_path) == {}


def test_a_guest_in_doubt_that_somebody_moves_away_during_a_run_is_on_no_list(tmp_path: Path) -> None:
    """The doubt would have it started here: the hosts of which it tells are others."""
    guest = FakeGuest("web", deaf_to=frozenset({"acpi"}))
    listed(tmp_path, guest, where=(HB,))

    def moved_away(hypervisor: FakeHypervisor, _: Shutdown) -> None:
        hypervisor.loop.call_later(3, hypervisor.stop, guest, Ended.MIGRATED)

    run_shutdown(tmp_path, [guest], meanwhile=moved_away)
    assert entry(tmp_path) == {}


def test_a_doubt_that_the_hosts_have_answered_is_over_with_the_run_that_has_asked_them(tmp_path: Path) -> None:
    guest = FakeGuest("web", state=PAUSED, elsewhere={HB: OFF})
    listed(tmp_path, guest, where=(HB,))
    run_shutdown(tmp_path, [guest])
    assert entry(tmp_path)["where"] == []


@pytest.mark.parametrize("was_away", [True, False])
def test_what_of_its_start_at_boot_did_not_travel_is_known_still_where_it_was_moved_and_else_seen_here(
    tmp_path: Path, *, was_away: bool
) -> None:
    guest = FakeGuest("web")
    listed(tmp_path, guest, where=(HB,) if was_away else (), autostart=True)
    run_shutdown(tmp_path, [guest])
    assert entry(tmp_path)["autostart"] is was_away


@pytest.mark.parametrize("moves", [True, False])
def test_a_guest_that_is_to_move_to_one_host_may_be_at_another_still_before_that_and_after(
    tmp_path: Path, *, moves: bool
) -> None:
    """Before as well: a run that is killed then leaves that list."""
    refused = frozenset[str]() if moves else frozenset({"migrate"})
    guest, seen = FakeGuest("web", refuses=refused), list[list[str]]()
    listed(tmp_path, guest, where=(HB,))

    class Reads:
        @lastcall.hookimpl
        def on_guest_stop(self) -> None:
            seen.append(entry(tmp_path)["where"])

    run_shutdown(
        tmp_path, [guest], config=f"defaults: {{stop: [{{migrate: {{to: [{HC}]}}}}, acpi]}}", plugins={"reads": Reads()}
    )
    assert seen == [[HB, HC]]
    assert guest.ended is (Ended.MIGRATED if moves else Ended.SHUTDOWN)
    assert entry(tmp_path)["where"] == ([HC, HB] if moves else [HB])


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("between", LEAVING)
def test_what_a_killed_run_has_made_of_a_guest_is_undone_by_a_run_that_leaves_it_running(
    tmp_path: Path, between: str, *, named: bool
) -> None:
    """With what was made of its on_poweroff, its next reboot would be its end."""
    guest = FakeGuest("web")
    listed(tmp_path, guest, restarts=True, left=True, cause="hand" if named else "host", due=not named)
    LEAVING[between](tmp_path, [guest])
    assert doings(guest) == ["on_poweroff restart"]
    assert entry(tmp_path) == {}


@pytest.mark.parametrize("between", LEAVING)
def test_what_cannot_be_undone_now_is_undone_by_the_next_run(tmp_path: Path, between: str) -> None:
    guest = FakeGuest("web", refuses=frozenset({"on_poweroff"}))
    listed(tmp_path, guest, restarts=True, left=True)
    LEAVING[between](tmp_path, [guest])
    assert entry(tmp_path)["restarts"] is True
    guest.refuses = frozenset()
    guest.asked.clear()
    aborted(tmp_path, [guest])
    assert doings(guest) == ["on_poweroff restart"]
    assert entry(tmp_path) == {}


def test_who_was_to_be_saved_and_runs_on_gets_back_what_a_killed_run_has_taken(tmp_path: Path) -> None:
    """Before a save nothing is replaced, so that nothing is put back after it."""
    guest = FakeGuest("web", deaf_to=frozenset({"save"}))
    listed(tmp_path, guest, restarts=True)

    def told_twice(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(1, run.interrupt)
        hypervisor.loop.call_later(2, run.interrupt)

    run_shutdown(tmp_path, [guest], config="defaults: {stop: [save]}", meanwhile=told_twice)
    assert (guest.state, doings(guest)) == (RUNNING, ["save", "on_poweroff restart"])
    assert entry(tmp_path)["restarts"] is False


def test_nothing_is_undone_of_guests_of_which_nothing_was_changed(tmp_path: Path) -> None:
    guest = FakeGuest("web", traits=GuestFacts(restarts=True))
    aborted(tmp_path, [guest])
    assert (doings(guest), entry(tmp_path)) == ([], {})
