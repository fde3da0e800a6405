"""Runs that are over, a line each."""

from collections.abc import Mapping, Sequence

from lastcall.api.guests import Outcome
from lastcall.errors import Severity
from lastcall.formats.layout.columns import FACT, NUMBER, REST, Cell, in_columns
from lastcall.formats.layout.screen import PLAIN, Screen, Tone
from lastcall.formats.quantities import format_duration
from lastcall.report.run_history import PastRun, local_time


def run_table(runs: Sequence[PastRun], screen: Screen = PLAIN) -> str:
    """When, why, how long, what became of the guests and how many problems; the id first, for `lastcall report`."""
    rows = ((run.report.run.id, *_facts(run), Cell(_became(run), _tone(run))) for run in runs)
    return "\n".join(in_columns(rows, (FACT, FACT, FACT, NUMBER, REST), screen))


def run_line(run: PastRun) -> str:
    """The same of one run as words; names are as they are."""
    when, what, took = _facts(run)
    return f"{what} of {when}, {took}: {_became(run)}"


def outcome_counts(run: PastRun) -> Mapping[Outcome, int]:
    """How many guests met each outcome, of those that somebody met."""
    met = [guest.outcome for guest in run.report.guests]
    return {outcome: met.count(outcome) for outcome in Outcome if outcome in met}


def errors_of(run: PastRun) -> int:
    """How many problems of the run are errors."""
    return sum(problem.severity is Severity.ERROR for problem in run.report.problems)


def _facts(run: PastRun) -> tuple[str, str, str]:
    facts = run.report.run
    when = f"{local_time(facts.started):%Y-%m-%d %H:%M}"
    return when, f"{facts.kind.value} ({facts.reason.value})", format_duration(round(facts.duration, 1))


def _became(run: PastRun) -> str:
    facts, errors = run.report.run, errors_of(run)
    told = [f"{count} {outcome.value}" for outcome, count in outcome_counts(run).items()] or ["no guests"]
    told += [f"{errors} problem{'' if errors == 1 else 's'}"] if errors else []
    verdict = "as planned" if facts.exit_code == 0 else "not everything as planned"
    return f"{', '.join(told)}; {verdict if run.complete else run.cut}"


def _tone(run: PastRun) -> Tone | None:
    return None if run.report.run.exit_code == 0 and run.complete else Tone.BAD
