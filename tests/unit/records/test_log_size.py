"""A run's log has a size, and all logs together have one; what was cut is said in the log and in the report."""

from dataclasses import replace
from pathlib import Path

import pytest

import lastcall
from lastcall import Attempt, Guest, HookRecord, Outcome, Problem, Report, Run, Severity, Verdict
from lastcall.formats.json_text import to_json
from lastcall.records.log_limit import LOG_SIZE, LogLimit
from lastcall.records.records import (
    AttemptEnded,
    GuestBegun,
    GuestEnded,
    HookEnded,
    HookSaid,
    ProblemFound,
    Record,
    RunEnded,
)
from lastcall.records.run_log import read_log
from lastcall.report.run_history import past_run
from lastcall.testing.memory import FakeGuest, run_shutdown

SMALL = "runs: {size: 1MiB}\n"


class Talks:
    """Says half a mebibyte for each guest."""

    @lastcall.hookimpl
    def on_guest_stop(self, guest: Guest, run: Run) -> None:
        """Say it, without the control characters that take six times their size."""
        for number in range(130):
            run.log(f"{guest.name} {number} " + "x" * 4000)


def logs(folder: Path) -> list[Path]:
    """The run logs, oldest first."""
    return sorted((folder / "runs").glob("*.jsonl"))


def shut_down(folder: Path, config: str, guests: int = 6) -> Report:
    """A run of guests about which much is said."""
    names = [f"g{number}" for number in range(guests)]
    return run_shutdown(folder, [FakeGuest(name) for name in names], plugins={"talks": Talks()}, config=config)


def test_a_log_that_is_full_goes_on_with_what_the_report_needs_and_both_say_so(tmp_path: Path) -> None:
    report = shut_down(tmp_path, SMALL)
    (log,) = logs(tmp_path)
    records = list(read_log(log))
    assert log.stat().st_size < 1.2 * (1 << 20)
    assert 200 < sum(isinstance(record, HookSaid) for record in records) < 300
    (problem,) = [record.problem for record in records if isinstance(record, ProblemFound)]
    assert (problem.what, problem.severity) == ("run log", Severity.WARNING)
    assert problem.message.startswith("it is longer than 1 MiB")
    assert report.problems == (problem,)
    assert past_run(log).report == report
    assert past_run(log).complete
    assert report.run.exit_code == 0


def test_a_log_that_is_not_full_has_everything(tmp_path: Path) -> None:
    assert shut_down(tmp_path, "", guests=4).problems == ()
    assert sum(isinstance(record, HookSaid) for record in read_log(logs(tmp_path)[0])) == 4 * 130


def test_no_log_is_longer_than_its_own_limit_however_many_may_be_kept() -> None:
    written: list[Record] = []
    limit = LogLimit(written.append, size=1 << 30)
    line = HookSaid(at=1.0, guest=None, hook="h", plugin="p", line="\x01" * 100_000)  # six bytes each in JSON
    problems = [problem for _ in range(100) if (problem := limit.take(line))]
    assert len(problems) == 1
    assert LOG_SIZE <= len(written) * 600_000 < LOG_SIZE + 600_000
    limit.take(RunEnded(at=2.0, exit_code=0))
    assert isinstance(written[-1], RunEnded)


@pytest.mark.parametrize(("sizes", "kept"), [([600, 600, 600], 1), ([10, 2000, 100], 1), ([3000], 1), ([10] * 9, 4)])
def test_the_oldest_logs_go_until_there_is_room_but_never_the_last_one(
    tmp_path: Path, sizes: list[int], kept: int
) -> None:
    (tmp_path / "runs").mkdir()
    for number, size in enumerate(sizes):
        (tmp_path / "runs" / f"20200101T000000Z-{number:04}.jsonl").write_bytes(b"x" * size * 1024)
    before = logs(tmp_path)
    run_shutdown(tmp_path, [FakeGuest("g")], config="runs: {keep: 5, size: 1MiB}")
    assert logs(tmp_path)[:-1] == before[-kept:]


class Fails:
    """Fails at length in every hook, having shown as much as it may."""

    def _fail(self, run: Run) -> None:
        run.evidence(**{f"figure {number}": "\x01" * 3000 for number in range(2000)})
        raise ValueError("no" * 10**6) from ValueError("why" * 10**6)

    @lastcall.hookimpl
    def on_guest_stop(self, guest: Guest, run: Run) -> None:
        """While it runs."""
        self._fail(run)

    @lastcall.hookimpl
    def on_guest_stopped(self, guest: Guest, run: Run) -> None:
        """Once it is off."""
        self._fail(run)


def without_traces(report: Report) -> Report:
    """A log that is full keeps where a call failed, and not how it got there."""
    return replace(report, guests=tuple(
        replace(guest, hooks=tuple(replace(hook, traceback="") for hook in guest.hooks)) for guest in report.guests
    ))  # fmt: skip


def test_a_log_of_many_hooks_that_fail_at_length_is_no_longer_than_its_size_and_what_the_report_needs(
    tmp_path: Path,
) -> None:
    guests = [FakeGuest(f"g{number}") for number in range(40)]
    report = run_shutdown(tmp_path, guests, plugins={"fails": Fails()}, config=SMALL)
    (log,) = logs(tmp_path)
    assert without_traces(past_run(log).report) == without_traces(report)
    traces = [len(record.record.traceback) for record in read_log(log) if isinstance(record, HookEnded)]
    assert len(traces) == 2 * len(guests)
    assert traces[0] > 4_000
    assert traces[-1] == 0, "once it is full"
    assert log.stat().st_size < (1 << 20) + len(to_json(report))


def test_the_weight_of_a_record_is_what_it_takes_in_the_log(tmp_path: Path) -> None:
    evidence = {"plain": "x" * 2000, "odd": ["\x01" * 500, {"deep": '"\\' * 300}, "\U0001f600" * 200, 7, None]}
    call = HookRecord(hook="h", plugin="p", result=Verdict.FAILED, started=1.0, duration=1.0, message="m" * 2000)
    problem = Problem(what="w" * 255, where="\u202e" * 2000, message="m" * 2000, remedy="r" * 2000)
    key = ("qemu:///system", "11111111-2222-3333-4444-555555555555")
    attempt = Attempt(method="m", result=Verdict.OK, started=0, duration=0)
    records: list[Record] = [
        HookEnded(at=1.0, guest=key, record=replace(call, evidence=evidence, traceback="line\n" * 4000)),
        HookSaid(at=1.0, guest=key, hook="h", plugin="p", line="\x1b" * 8000),
        ProblemFound(at=1.0, problem=problem),
        GuestEnded(at=1.0, guest=key, outcome=Outcome.FAILED, message="é" * 2000),
        AttemptEnded(at=1.0, guest=key, attempt=replace(attempt, message='"' * 2000)),
        GuestBegun(at=1.0, guest=key, waited_for=("n" * 255,) * 100),
    ]  # fmt: skip
    for record in records:
        taken = len(to_json(record).encode())
        limit = LogLimit(lambda _: None, size=taken)
        said = HookSaid(at=2.0, guest=None, hook="h", plugin="p", line="")
        limit.take(record)
        assert limit.take(said), f"{type(record).__name__}: {taken} bytes are full"
        limit = LogLimit(lambda _: None, size=3 * taken + 1000)
        limit.take(record)
        assert not limit.take(said), f"{type(record).__name__}: not three times as much"
