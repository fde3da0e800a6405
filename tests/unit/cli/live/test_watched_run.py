"""What the live view knows of a run, by its records."""

from collections.abc import Sequence
from typing import Any

import pytest

from lastcall import Guest, GuestState, Outcome, Reason, RunKind, Verdict
from lastcall.api.results import Attempt, HookRecord
from lastcall.cli.live.told_lines import ToldLines
from lastcall.cli.live.watched_run import WatchedRun
from lastcall.errors import Problem
from lastcall.records.records import (
    AttemptEnded,
    GuestAsked,
    GuestBegun,
    GuestEnded,
    GuestHeld,
    GuestPlanned,
    HookBegun,
    HookEnded,
    HookSaid,
    ProblemFound,
    Record,
    RunInterrupted,
    RunJoined,
    RunStarted,
)


def guest(name: str) -> Guest:
    return Guest(
        uri="test:///default", uuid=f"uuid-{name}", name=name, driver="TEST", persistent=True, state=GuestState.RUNNING
    )


def begun(kind: RunKind = RunKind.SHUTDOWN, reason: Reason = Reason.POWEROFF, **times: Any) -> RunStarted:
    given: Any = {"deadline": 600.0, "last_ask": 540.0, "last_resort": 570.0, **times}
    return RunStarted(
        at=0.3, id="1", kind=kind, reason=reason, started="2026-01-01T00:00:00Z", boot_id="", host="h", config="file",
        versions={}, **given,
    )  # fmt: skip


def run_of(*records: Record, first: RunStarted | None = None) -> WatchedRun:
    run = WatchedRun()
    for record in (first or begun(), *records):
        run.take(record)
    return run


def planned(*names: str) -> list[Record]:
    return [GuestPlanned(at=0.4, guest=guest(name)) for name in names]


def told(run: WatchedRun) -> list[tuple[str, str, float, float]]:
    return [(one.name, one.doing, one.since, run.until(one)) for one in run.moves()]


def attempt(method: str, result: Verdict | Outcome, at: float = 2.0, *, asks: bool = True, name: str = "a") -> Record:
    tried = Attempt(method=method, result=result, started=at - 1, duration=1.0, message="")
    return AttemptEnded(at=at, guest=guest(name).key, attempt=tried, heard=at - 1, asks=asks)


def hook_ended(name: str | None, hook: str, plugin: str, at: float, result: Verdict = Verdict.OK) -> Record:
    record = HookRecord(hook=hook, plugin=plugin, result=result, started=at, duration=0.0, message="why", evidence={})
    return HookEnded(at=at, guest=guest(name).key if name else None, record=record)


A = guest("a").key
ITS_TURN = GuestBegun(at=1.0, guest=A)


@pytest.mark.parametrize(
    ("records", "doing"),
    [
        ([ITS_TURN], ("to be asked", 1.0, 570.0)),
        ([ITS_TURN, GuestHeld(at=2.0, guest=A, by="a backup", until=90.0)], ("waits for a backup", 2.0, 90.0)),
        ([HookBegun(at=2.0, guest=A, hook="on_guest_stop", plugin="db", until=9.0)], ("on_guest_stop of db", 2.0, 9.0)),
        ([ITS_TURN, GuestAsked(at=3.0, guest=A, method="acpi", until=123.0)], ("acpi", 3.0, 123.0)),
        ([ITS_TURN, GuestAsked(at=3.0, guest=A, method="acpi")], ("acpi", 3.0, 570.0)),
        (
            [GuestAsked(at=3.0, guest=A, method="acpi", until=123.0),
             GuestAsked(at=13.0, guest=A, method="acpi", attempt=2, until=123.0),
             GuestAsked(at=23.0, guest=A, method="acpi", attempt=3, until=123.0)],
            ("acpi, asked again (3)", 3.0, 123.0),
        ),
        (
            [GuestAsked(at=580.0, guest=A, method="destroy", until=595.0, last_resort=True)],
            ("last resort: destroy", 580.0, 595.0),
        ),
        ([ITS_TURN, attempt("acpi", Verdict.TIMEOUT, 4.0)], ("acpi timeout", 4.0, 570.0)),
        (
            [HookBegun(at=2.0, guest=A, hook="on_guest_stop", plugin="p"), hook_ended("a", "on_guest_stop", "p", 3.0)],
            ("to be asked", 3.0, 570.0),
        ),
    ],
)  # fmt: skip
def test_a_guest_that_moves_has_what_it_does_since_when_and_until_when(
    records: Sequence[Record], doing: tuple[str, float, float]
) -> None:
    assert told(run_of(*planned("a"), *records)) == [("a", *doing)]


def test_who_is_started_is_watched_until_it_is_ready() -> None:
    first = begun(RunKind.RESTORE, Reason.MANUAL, last_ask=None, last_resort=None)
    run = run_of(*planned("a"), GuestAsked(at=1.0, guest=A, method="start", attempt=2), first=first)
    assert told(run) == [("a", "start, tried again (2)", 1.0, 600.0)]
    for second in (2.0, 3.0, 4.0):
        run.take(hook_ended("a", "guest_ready", "agent", second))
    assert told(run) == [("a", "until agent says that it is ready", 2.0, 600.0)]
    run.take(GuestEnded(at=5.0, guest=A, outcome=Outcome.STARTED))
    assert (told(run), run.outcomes) == ([], {Outcome.STARTED: 1})


def test_those_that_are_done_are_counted_and_move_again_only_for_their_hooks() -> None:
    run = run_of(*planned("a", "b", "c"), ITS_TURN, GuestEnded(at=2.0, guest=A, outcome=Outcome.STOPPED))
    assert (run.count, run.moving, run.waiting, run.outcomes) == (3, 0, 2, {Outcome.STOPPED: 1})
    run.take(HookBegun(at=2.5, guest=A, hook="on_guest_stopped", plugin="tell", until=9.0))
    assert told(run) == [("a", "on_guest_stopped of tell", 2.5, 9.0)]
    run.take(hook_ended("a", "on_guest_stopped", "tell", 3.0))
    assert told(run) == []
    run.take(GuestEnded(at=4.0, guest=A, outcome=Outcome.UNKNOWN))
    assert run.outcomes == {Outcome.UNKNOWN: 1}, "what was decided last counts"
    run.take(GuestPlanned(at=5.0, guest=guest("a")))
    assert (run.count, run.waiting, run.outcomes) == (3, 3, {}), "who was started anew is planned anew"


def test_those_whose_time_is_up_first_come_first_and_the_run_before_them() -> None:
    asked = [GuestAsked(at=1.0, guest=guest(name).key, method="acpi", until=until)
             for name, until in (("a", 300.0), ("b", 20.0), ("c", None), ("d", 100.0))]  # fmt: skip
    run = run_of(*planned("a", "b", "c", "d"), *asked)
    run.take(HookBegun(at=2.0, guest=None, hook="pre_shutdown", plugin="tell", until=500.0))
    assert [one.name for one in run.moves()] == ["this run", "b", "d", "a", "c"]
    run.take(hook_ended(None, "pre_shutdown", "tell", 3.0))
    assert [one.name for one in run.moves()] == ["b", "d", "a", "c"]


def test_a_last_resort_that_comes_nearer_cuts_what_is_asked_nicely_and_not_itself() -> None:
    run = run_of(
        *planned("a", "b"),
        GuestAsked(at=1.0, guest=A, method="acpi", until=300.0),
        GuestAsked(at=1.0, guest=guest("b").key, method="destroy", until=590.0, last_resort=True),
        RunInterrupted(at=10.0, times=1, last_ask=10.0, last_resort=15.0),
    )
    assert [(one.name, run.until(one)) for one in run.moves()] == [("a", 15.0), ("b", 590.0)]


def test_a_host_stop_that_joins_a_run_by_hand_has_been_told_nothing_yet() -> None:
    run = run_of(RunInterrupted(at=1.0, times=1), first=begun(reason=Reason.MANUAL))
    assert run.interrupted == 1
    joined = RunJoined(at=2.0, reason=Reason.POWER, deadline=90.0, last_ask=60.0, last_resort=70.0)
    run.take(joined)
    assert (run.interrupted, run.reason, run.deadline, run.last_resort) == (0, Reason.POWER, 90.0, 70.0)
    run.take(RunInterrupted(at=3.0, times=1, last_ask=3.0, last_resort=8.0))
    run.take(joined)
    assert run.interrupted == 1, "a host stop that learns of its time was told all the same"


def test_settings_that_are_asked_for_before_a_guest_belongs_to_the_run_make_nobody_move() -> None:
    run = run_of(HookBegun(at=0.2, guest=A, hook="guest_settings", plugin="cmdb"))
    assert told(run) == []


@pytest.mark.parametrize(
    ("records", "line"),
    [
        ([GuestAsked(at=1.0, guest=A, method="acpi")], None),
        ([GuestHeld(at=1.0, guest=A, by="a backup")], None),
        ([GuestEnded(at=1.0, guest=A, outcome=Outcome.STOPPED)], None),
        ([attempt("destroy", Outcome.FORCED), GuestEnded(at=2.0, guest=A, outcome=Outcome.FORCED)], None),
        (
            [attempt("acpi", Verdict.TIMEOUT), attempt("destroy", Outcome.FORCED, asks=False),
             GuestEnded(at=2.0, guest=A, outcome=Outcome.FORCED)],
            "    2.00s  a: forced",
        ),
        (
            [attempt("destroy", Outcome.FORCED, asks=False), GuestEnded(at=2.0, guest=A, outcome=Outcome.FORCED)],
            "    2.00s  a: forced",
        ),
        ([GuestEnded(at=2.0, guest=A, outcome=Outcome.LEFT, message="no")], "    2.00s  a: left (no)"),
        ([attempt("acpi", Verdict.FAILED)], "    2.00s  a: acpi failed"),
        ([HookSaid(at=3.0, guest=A, hook="h", plugin="p", line="[red]hello")], "    3.00s  a: p: [red]hello"),
        (
            [ProblemFound(at=4.0, problem=Problem(what="disk", where="here", message="\033[2J", remedy="look"))],
            "    4.00s  ✗ disk here: \\x1b[2J\n    → look",
        ),
        ([hook_ended("a", "on_guest_stop", "p", 5.0, Verdict.FAILED)], "    5.00s  a: on_guest_stop of p failed: why"),
    ],
)  # fmt: skip
def test_what_was_not_as_planned_and_what_is_said_stays_as_the_line_that_it_is_elsewhere(
    records: Sequence[Record], line: str | None
) -> None:
    lines = ToldLines(verbose=False)
    *_, last = [lines.line(record) for record in (*planned("a"), *records)]
    assert last == line
    if line is None:
        verbose = ToldLines(verbose=True)
        *_, last = [verbose.line(record) for record in (*planned("a"), *records)]
        assert last is not None
