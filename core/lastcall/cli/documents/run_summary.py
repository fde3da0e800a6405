"""A run as the documents of several commands have it."""

from collections.abc import Mapping

from lastcall.api.guests import Reason, RunKind
from lastcall.formats.values import value
from lastcall.report.run_history import PastRun
from lastcall.report.run_list import errors_of, outcome_counts


@value(kw_only=True)
class RunSummary:
    """A run in a line. `outcomes`: how many guests met each; `problems`: how many of them are errors."""

    id: str
    kind: RunKind
    reason: Reason
    started: str
    duration: float
    exit_code: int
    complete: bool
    host: str
    outcomes: Mapping[str, int]
    problems: int


def summary_of(run: PastRun) -> RunSummary:
    """The run in a line."""
    facts = run.report.run
    return RunSummary(
        id=facts.id, kind=facts.kind, reason=facts.reason, started=facts.started, duration=facts.duration,
        exit_code=facts.exit_code, complete=run.complete, host=facts.host, problems=errors_of(run),
        outcomes={outcome.value: count for outcome, count in outcome_counts(run).items()},
    )  # fmt: skip
