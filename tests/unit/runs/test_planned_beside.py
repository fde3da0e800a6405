"""A report keeps what was planned beside what happened: as `plan` said it, for the page and for `report -v`."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lastcall.api.guests import Reason
from lastcall.api.results import PlannedRung, PlannedStop, Report
from lastcall.errors import Severity
from lastcall.planning.worst_case import Outlook
from lastcall.records.records import GuestPlanned, Record, StopsForeseen
from lastcall.report.page.html_report import run_stories
from lastcall.report.page.web_page import as_page
from lastcall.report.run_history import PastRun, past_runs
from lastcall.report.text import as_text
from lastcall.runs import bookkeeping
from lastcall.testing.memory import run_restore, run_shutdown
from lastcall.testing.memory.guest import FakeGuest
from lastcall.testing.memory.workers import Hangs
from support import by_name

TAKES = {"web": 4.0, "db": 8.0, "new": 2.0}
CHAIN = "{defaults: {stop: [acpi], timeout: 60s}, guests: [{match: web, depends_on: db}]}"


def stopped(folder: Path, *names: str, sink: Callable[[Record], None] | None = None) -> Report:
    guests = [FakeGuest(name, takes=TAKES[name]) for name in names]

    def take(record: Record) -> None:
        if sink:
            sink(record)

    return run_shutdown(folder, guests, config=CHAIN, reason=Reason.POWEROFF, sink=take)


def page_of(report: Report) -> str:
    return as_page(list(run_stories([PastRun(report, complete=True)], [])))


def test_a_guest_keeps_when_it_was_to_be_asked_and_off_by_earlier_runs_and_by_the_settings(tmp_path: Path) -> None:
    stopped(tmp_path, "web", "db")
    report = stopped(tmp_path, "web", "db", "new")
    assert by_name(report, "web").planned == PlannedStop(
        asked_usually=0.0, off_usually=4.0, asked_latest=0.0, off_latest=60.0,
        rungs=(PlannedRung("acpi", 60.0),), last_resort=("destroy",),
    )  # fmt: skip
    to_the_end = (PlannedRung("acpi", None),)
    assert by_name(report, "db").planned == PlannedStop(
        asked_usually=4.0, off_usually=12.0, asked_latest=60.0, off_latest=None, rungs=to_the_end,
        last_resort=("destroy",),
    )  # fmt: skip
    assert by_name(report, "new").planned == PlannedStop(
        asked_usually=None, off_usually=None, asked_latest=0.0, off_latest=None, rungs=to_the_end,
        last_resort=("destroy",),
    )  # fmt: skip


def test_it_comes_back_from_the_log_and_one_without_it_is_read_as_ever(tmp_path: Path) -> None:
    report = stopped(tmp_path, "web", "db")
    (again,) = past_runs(tmp_path / "runs")
    assert [guest.planned for guest in again.report.guests] == [guest.planned for guest in report.guests]
    log = next((tmp_path / "runs").glob("*.jsonl"))
    log.write_text("".join(line for line in log.read_text().splitlines(keepends=True) if "StopsForeseen" not in line))
    (old,) = past_runs(tmp_path / "runs")
    assert [guest.planned for guest in old.report.guests] == [None, None]
    assert "planned:" not in as_text(old.report, traces=True)
    assert 'class="planned"' not in page_of(old.report)


def test_what_is_planned_is_one_record_after_the_guests_and_of_a_restore_there_is_none(tmp_path: Path) -> None:
    seen = list[Record]()
    stopped(tmp_path, "web", "db", sink=seen.append)
    kinds = [type(record) for record in seen]
    assert kinds.count(StopsForeseen) == 1
    assert kinds.index(StopsForeseen) > max(at for at, kind in enumerate(kinds) if kind is GuestPlanned)
    report = run_restore(tmp_path, [FakeGuest("web"), FakeGuest("db")])
    assert {guest.planned for guest in report.guests} <= {None}


def test_report_v_says_it_in_a_line_and_the_plain_report_does_not(tmp_path: Path) -> None:
    stopped(tmp_path, "web", "db")
    report = stopped(tmp_path, "web", "db")
    assert "planned:" not in as_text(report)
    usual, worst = "asked at 4s and off at 12s as usual", "asked by 60s and until the last resort at worst"
    assert f"    planned: {usual}, {worst}; acpi (to the end) → destroy\n" in as_text(report, traces=True)


def test_the_page_draws_it_below_what_happened_and_within_the_chart(tmp_path: Path) -> None:
    stopped(tmp_path, "web", "db")
    page = page_of(stopped(tmp_path, "web", "db"))
    assert page.count('<rect class="planned"') == 2 + 1, "two guests and the legend"
    for x, width in re.findall(r'<rect class="(?:planned|longest)" x="([\d.]+)%" width="([\d.]+)%"', page):
        assert float(x) + float(width) <= 100.5
    assert "Planned: asked at" in page


def test_a_disk_that_does_not_answer_costs_the_plan_in_the_report_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "history.json").mkdir()
    report = stopped(tmp_path, "web", "db")
    assert {guest.outcome.value for guest in report.guests} == {"stopped"}


@pytest.mark.parametrize(
    ("trouble", "told", "remedy"),
    [
        (ZeroDivisionError("no time"), "ZeroDivisionError: no time", "this is a bug in lastcall"),
        (OSError(5, "Input/output error"), "Input/output error", ""),
        (TimeoutError("no answer after 3 s"), "no answer after 3 s", ""),
        (RuntimeError("x" * 100_000), "xxx", "this is a bug in lastcall"),
        (Hangs(), "no answer in time", ""),
    ],
    ids=["bug", "disk", "slow", "wordy", "hangs"],
)
@pytest.mark.parametrize("reason", [Reason.POWEROFF, Reason.MANUAL])
def test_what_keeps_the_plan_from_being_noted_is_a_problem_of_the_report_and_nothing_else_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: Reason, trouble: BaseException, told: str, remedy: str
) -> None:
    def fails(*_: object) -> Outlook:
        raise trouble

    def stopped_so() -> Report:
        return run_shutdown(
            tmp_path, [FakeGuest("web", takes=40), FakeGuest("db", takes=3)], config=CHAIN, reason=reason
        )

    as_ever = stopped_so()
    monkeypatch.setattr(bookkeeping, "look_ahead", fails)
    report = stopped_so()
    (problem,) = report.problems
    assert (problem.what, problem.severity, problem.remedy) == ("plan", Severity.WARNING, remedy)
    assert problem.message.startswith("what was planned is not in the report: ")
    assert told in problem.message
    assert len(problem.message) < 5000
    assert (report.run.exit_code, report.run.duration) == (0, as_ever.run.duration)
    assert {guest.planned for guest in report.guests} == {None}


def test_a_run_that_ends_before_a_disk_answers_does_not_wait_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hangs(*_: object) -> Outlook:
        raise Hangs

    monkeypatch.setattr(bookkeeping, "look_ahead", hangs)
    report = run_shutdown(tmp_path, [FakeGuest("web", takes=0.1)], reason=Reason.POWEROFF)
    assert report.run.duration < 0.5
    assert report.problems == ()
