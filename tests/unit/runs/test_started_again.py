"""A guest that somebody starts again while the run goes on: how it went the first time is neither lost nor mended."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lastcall import Ended, Outcome, Reason, Report, Verdict, hookimpl
from lastcall.report.page.html_report import run_stories
from lastcall.report.page.web_page import as_page
from lastcall.report.run_history import past_run
from lastcall.report.text import as_text, report_json
from lastcall.report.unseen import SeenRuns
from lastcall.testing.memory import FakeGuest, FakeHypervisor, run_shutdown
from lastcall_plugins.metrics.kept import Kept
from lastcall_plugins.notify.wording import is_bad
from support import by_name

ACPI = frozenset({"acpi", "shutdown"})
CONFIG = """
defaults: {stop: [{acpi: {timeout: 5s}}], last_resort: destroy}
guests: [{match: other, stop: [{acpi: {timeout: 90s}}]}]
"""


class Flush:
    """Fails when it is called first."""

    def __init__(self) -> None:
        self.calls = 0

    @hookimpl
    def on_guest_stop(self, guest: Any) -> None:
        """Once."""
        self.calls += guest.name == "db"
        if guest.name == "db" and self.calls == 1:
            raise RuntimeError("tables are not flushed")


def is_deaf(db: FakeGuest, hypervisor: FakeHypervisor) -> None:
    db.deaf_to = ACPI


def crashes(db: FakeGuest, hypervisor: FakeHypervisor) -> None:
    db.deaf_to = ACPI
    hypervisor.loop.call_later(2.0, lambda: hypervisor.stop(db, Ended.CRASHED))


def goes(db: FakeGuest, hypervisor: FakeHypervisor) -> None:
    """As it should."""


def stopped_twice(
    folder: Path, first: Callable[[FakeGuest, FakeHypervisor], None], *, plugins: dict[str, object] | None = None
) -> Report:
    """The report of a host stop in which it goes like that first, is started again, and stops well."""
    db, other = FakeGuest("db"), FakeGuest("other", takes=40.0)

    def meanwhile(hypervisor: FakeHypervisor, _: object) -> None:
        def again() -> None:
            db.deaf_to = frozenset()
            hypervisor.begin(db)

        first(db, hypervisor)
        hypervisor.loop.call_later(20.0, again)

    return run_shutdown(
        folder, [db, other], reason=Reason.POWEROFF, meanwhile=meanwhile, config=CONFIG, plugins=plugins
    )


@pytest.mark.parametrize(
    ("first", "outcome", "told"),
    [(is_deaf, Outcome.FORCED, "forced by destroy in 5s"), (crashes, Outcome.FAILED, "failed")],
)
def test_who_did_not_go_well_the_first_time_is_not_as_planned_whatever_came_then(
    tmp_path: Path, first: Callable[[FakeGuest, FakeHypervisor], None], outcome: Outcome, told: str
) -> None:
    report = stopped_twice(tmp_path, first)
    db = by_name(report, "db")
    assert (db.outcome, [stop.outcome for stop in db.earlier]) == (Outcome.STOPPED, [outcome])
    assert report.run.exit_code == 1
    text = as_text(report)
    assert f"before somebody started it again: {told}" in text
    assert "✗ db" in text
    run = SeenRuns(tmp_path).unseen()[0].run
    assert [(guest.name, guest.outcome) for guest in run.guests] == [("db", outcome)]
    assert is_bad(db)
    kept = Kept(tmp_path, 10)
    kept.learn_run(report)
    assert kept.runs["shutdown"].forced == (outcome is Outcome.FORCED)
    (log,) = (tmp_path / "runs").glob("*.jsonl")
    page = as_page(list(run_stories([past_run(log)], [])))
    assert "before somebody started it again" in page
    assert past_run(log).report.guests == report.guests, "the log tells the same"


def test_a_hook_that_failed_the_first_time_is_in_the_report_and_decides_its_exit_code(tmp_path: Path) -> None:
    report = stopped_twice(tmp_path, goes, plugins={"flush": Flush()})
    db = by_name(report, "db")
    (earlier,) = db.earlier
    assert ([hook.result for hook in earlier.hooks], earlier.outcome) == ([Verdict.FAILED], Outcome.STOPPED)
    assert [hook.result for hook in db.hooks] == [Verdict.OK]
    assert report.run.exit_code == 1
    assert "tables are not flushed" in as_text(report)
    assert "tables are not flushed" in report_json(report)


def test_who_went_well_each_time_is_as_planned_and_both_times_are_told(tmp_path: Path) -> None:
    report = stopped_twice(tmp_path, goes)
    db = by_name(report, "db")
    assert [stop.method for stop in db.stops] == ["acpi", "acpi"]
    assert report.run.exit_code == 0
    assert "before somebody started it again: stopped by acpi in 1s" in as_text(report)
