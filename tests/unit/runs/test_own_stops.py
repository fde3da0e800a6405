"""Guests that libvirt stops by its own settings, before lastcall asks them: said, and brought back."""

import asyncio
from pathlib import Path

import pytest

from lastcall import GuestState, Outcome, Reason
from lastcall.api.guests import Ended
from lastcall.errors import Problem
from lastcall.hypervisor.ports import OwnStop
from lastcall.runs.shutdown import Shutdown
from lastcall.testing.memory import FakeGuest, FakeHypervisor, run_shutdown
from support import by_name, waiting_guests

SETTING = "auto_shutdown_try_save is all in /etc/libvirt/qemu.conf"


def off(name: str, ended: Ended = Ended.SAVED, setting: str = SETTING) -> FakeGuest:
    return FakeGuest(name, state=GuestState.OFF, ended=ended, stopped_by=setting)


def told(problems: tuple[Problem, ...]) -> list[str]:
    return [problem.message for problem in problems if problem.what == "rival"]


@pytest.mark.parametrize("ended", [Ended.SAVED, Ended.SHUTDOWN, Ended.DESTROYED])
def test_who_was_off_before_anybody_could_list_it_is_named_and_brought_back(tmp_path: Path, ended: Ended) -> None:
    guests = [off("early", ended), off("kept", ended), off("long-off", setting=""), FakeGuest("on", takes=2)]
    config = "guests: [{match: kept, restore: false}]"
    report = run_shutdown(tmp_path, guests, reason=Reason.POWEROFF, config=config)
    (message,) = told(report.problems)
    assert message.startswith("libvirt stopped guests itself")
    assert f"early ({ended.value}), kept ({ended.value})" in message
    assert message.endswith(SETTING)
    assert "long-off" not in message
    assert set(waiting_guests(tmp_path)) == {"early", "on"}
    assert report.run.exit_code == 1, "it was not as planned: nobody's hooks and order were heeded"
    assert [guest.name for guest in report.guests] == ["on"]


def test_who_goes_off_by_it_before_its_turn_is_named_once_and_who_was_asked_is_not(tmp_path: Path) -> None:
    asked = FakeGuest("asked", takes=5, stopped_by=SETTING)
    waits = FakeGuest("waits", takes=5, stopped_by=SETTING)

    def meanwhile(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        hypervisor.loop.call_later(2.0, hypervisor.stop, waits, Ended.SAVED)

    config = "guests: [{match: asked, depends_on: [waits]}]"
    report = run_shutdown(tmp_path, [asked, waits], reason=Reason.POWEROFF, config=config, meanwhile=meanwhile)
    assert by_name(report, "waits").outcome is Outcome.SAVED
    (message,) = told(report.problems)
    assert "waits (saved)" in message
    assert "asked (" not in message
    assert set(waiting_guests(tmp_path)) == {"asked", "waits"}


def test_a_run_by_hand_claims_nothing(tmp_path: Path) -> None:
    report = run_shutdown(tmp_path, [off("early"), FakeGuest("on")])
    assert told(report.problems) == []
    assert set(waiting_guests(tmp_path)) == {"on"}


def test_whom_a_run_by_hand_stopped_just_before_was_not_stopped_by_libvirt(tmp_path: Path) -> None:
    guests = [FakeGuest("hand"), FakeGuest("on")]
    run_shutdown(tmp_path, guests, names=["hand"])
    guests[0].stopped_by = SETTING
    report = run_shutdown(tmp_path, guests, reason=Reason.POWEROFF)
    assert told(report.problems) == []


def test_a_daemon_that_hangs_over_this_keeps_nobody_from_being_asked(tmp_path: Path) -> None:
    guest = FakeGuest("g", takes=5)

    def meanwhile(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        async def hangs(uri: str, *, since: float) -> list[OwnStop]:
            await asyncio.sleep(1000)
            raise TimeoutError(f"{uri}: no answer after {since} s")

        hypervisor.own_stops = hangs

    report = run_shutdown(tmp_path, [guest], reason=Reason.POWEROFF, meanwhile=meanwhile)
    assert by_name(report, "g").asked == 0
