"""What records foretell comes true: until when something may take, and what a signal has brought nearer."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from lastcall import Outcome, Reason
from lastcall.records.records import AttemptEnded, GuestAsked, GuestEnded, Record, RunInterrupted
from lastcall.runs.restore import Restore
from lastcall.runs.shutdown import Shutdown
from lastcall.testing.memory.guest import FakeGuest
from lastcall.testing.memory.hypervisor import FakeHypervisor
from lastcall.testing.memory.runs import run_restore, run_shutdown
from support import by_name

LADDER = "guests: [{match: g, stop: [{acpi: {timeout: 40s, resend: 15s}}, {acpi: {timeout: 20s}}]}]"


def at(*moments: float) -> Callable[[FakeHypervisor, Shutdown | Restore], None]:
    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown | Restore) -> None:
        for moment in moments:
            hypervisor.loop.call_later(moment, run.interrupt)

    return meanwhile


def test_a_request_says_until_when_its_guest_has_time_and_which_one_is_the_last_resort(tmp_path: Path) -> None:
    seen: list[Record] = []
    run_shutdown(tmp_path, [FakeGuest("g", takes=math.inf)], config=LADDER, reason=Reason.POWER, sink=seen.append)
    ends = [(one.attempt.method, one.at) for one in seen if isinstance(one, AttemptEnded)]
    asked = [one for one in seen if isinstance(one, GuestAsked)]
    assert [one.attempt for one in asked[:3]] == [1, 2, 3]
    assert {one.until for one in asked[:3]} == {40.0}
    assert ends[:2] == [("acpi", 40.0), ("acpi", 60.0)]
    assert (asked[-1].method, asked[-1].last_resort, [one.last_resort for one in asked[:-1]].count(True)) == (
        "destroy",
        True,
        0,
    )


@pytest.mark.parametrize(("signals", "times"), [((20,), [1]), ((20, 22), [1, 2])])
def test_a_host_stop_that_is_told_to_end_says_when_its_last_resort_begins(
    tmp_path: Path, signals: tuple[float, ...], times: list[int]
) -> None:
    seen: list[Record] = []
    guest = FakeGuest("g", takes=math.inf)
    run_shutdown(tmp_path, [guest], reason=Reason.POWER, sink=seen.append, meanwhile=at(*signals))
    told = [one for one in seen if isinstance(one, RunInterrupted)]
    assert [one.times for one in told] == times
    assert (told[0].last_ask, told[0].last_resort) == (20.0, 25.0)
    assert told[-1].last_resort == (25.0 if len(signals) == 1 else 22.0)
    plug = next(one for one in seen if isinstance(one, GuestAsked) and one.last_resort)
    assert plug.at == told[-1].last_resort


def test_runs_by_hand_say_each_time_that_they_were_told_to_end(tmp_path: Path) -> None:
    seen: list[Record] = []
    guest = FakeGuest("g", takes=math.inf)
    report = run_shutdown(tmp_path, [guest], sink=seen.append, meanwhile=at(20, 22))
    assert [(one.at, one.times) for one in seen if isinstance(one, RunInterrupted)] == [(20.0, 1), (22.0, 2)]
    assert by_name(report, "g").outcome is Outcome.LEFT
    assert next(one.at for one in seen if isinstance(one, GuestEnded)) == 22.0


def test_a_restore_says_each_time_that_it_was_told_to_end(tmp_path: Path) -> None:
    seen: list[Record] = []
    guest = FakeGuest("g")
    run_shutdown(tmp_path, [guest])
    run_restore(tmp_path, [guest], config="defaults: {start_delay: 2min}", sink=seen.append, meanwhile=at(7))
    assert [(one.at, one.times) for one in seen if isinstance(one, RunInterrupted)] == [(7.0, 1)]
