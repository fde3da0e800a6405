"""What `shutdown`, `restore` and `report` print."""

from dataclasses import fields

from lastcall.api.results import GuestResult, HookRecord, Report, RunFacts
from lastcall.errors import Problem
from lastcall.formats.values import value
from lastcall.records.report_builder import VERSION
from lastcall.report.run_history import PastRun
from lastcall.report.unseen import BadRun


@value(kw_only=True)
class RestoreDocument:
    """The report of a restore; `run` is null where nothing was due and there was none."""

    version: int = VERSION
    run: RunFacts | None = None
    guests: tuple[GuestResult, ...] = ()
    hooks: tuple[HookRecord, ...] = ()
    problems: tuple[Problem, ...] = ()


@value(frozen=True, kw_only=True)
class LoggedReport(Report):
    """The report of an earlier run. Not `complete`: it was killed, or is still under way."""

    complete: bool

    @classmethod
    def of(cls, run: PastRun) -> "LoggedReport":
        """As the log has it."""
        return cls(complete=run.complete, **{one.name: getattr(run.report, one.name) for one in fields(run.report)})


@value(kw_only=True)
class Acknowledgement:
    """Who has said when that everything up to then was seen, and the runs that were unseen until then."""

    by: str
    at: str
    runs: tuple[BadRun, ...]


@value(kw_only=True)
class ReportDocument:
    """Reports of earlier runs. `acknowledged`: what --ack has noted, null without it."""

    version: int = VERSION
    runs: tuple[LoggedReport, ...]
    acknowledged: Acknowledgement | None
