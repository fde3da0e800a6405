"""A run's log has a size, and all logs together have one; what was cut is said in the log and in the report."""

from pathlib import Path

import pytest

import lastcall
from lastcall import Guest, Report, Run, Severity
from lastcall.records.log_limit import LOG_SIZE, LogLimit
from lastcall.records.records import HookSaid, ProblemFound, Record, RunEnded
from lastcall.records.run_log import read_log
from lastcall.report.run_history import past_run
from lastcall.testing import FakeGuest, run_shutdown

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
