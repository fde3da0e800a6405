"""The report as text for a person, and as JSON for a program."""

from collections.abc import Iterator

from lastcall.api.guests import Outcome, RunKind
from lastcall.api.results import Attempt, GuestResult, HookRecord, Report, Verdict
from lastcall.errors import Problem, Severity
from lastcall.formats.json_text import to_json
from lastcall.formats.quantities import format_duration
from lastcall.formats.visible_text import page
from lastcall.records.report_builder import as_planned
from lastcall.report.evidence import comparisons

WIDEST = 40  # characters of the column of names: one guest's must not push everybody's outcome out of sight


def report_json(report: Report) -> str:
    """The report as section 7 of the contract shows it."""
    return to_json(report, indent=1)


def as_text(report: Report, *, traces: bool = False) -> str:
    """One line per guest, everything that was not as planned in full, and a closing line; with `traces` tracebacks."""
    return page(_lines(report, traces=traces))


def _lines(report: Report, *, traces: bool) -> Iterator[str]:
    width = min(WIDEST, max((len(guest.name) for guest in report.guests), default=0))
    for hook in report.hooks:
        if hook.result is Verdict.SKIPPED:  # of the whole run these are few, and say what was not done for it and why
            yield hook_line(hook)
        yield from _hook_lines(hook, "", traces=traces)
    for guest in report.guests:
        yield from _guest_lines(guest, width, traces=traces)
    for problem in report.problems:
        yield from problem_lines(problem)
    yield _closing(report)


def _guest_lines(guest: GuestResult, width: int, *, traces: bool) -> Iterator[str]:
    sign = "✓" if as_planned(guest) else "✗"
    how = f" by {guest.method}" if guest.method else ""
    why = f"  {guest.message}" if guest.message else ""
    yield f"{sign} {guest.name:<{width}}  {guest.outcome.value}{how} in {_seconds(guest.duration)}{why}"
    # A rung that was skipped explains why a guest did not go; where it went, as most without an agent do, it is noise.
    told = {Verdict.FAILED.value, Verdict.TIMEOUT.value, *(() if as_planned(guest) else (Verdict.SKIPPED.value,))}
    for attempt in guest.attempts:
        if attempt.result in told:
            said = f": {attempt_words(attempt)}" if attempt.message else ""
            yield f"    {attempt.method} {attempt.result} after {_seconds(attempt.duration)}{said}"
            yield from trace_lines(attempt.traceback, "    ") if traces else ()
    for hook in guest.hooks:
        yield from _hook_lines(hook, "    ", traces=traces)


def _hook_lines(hook: HookRecord, indent: str, *, traces: bool) -> Iterator[str]:
    """What failed, and what was proven."""
    if hook.result not in {Verdict.OK, Verdict.SKIPPED}:
        yield hook_line(hook, indent)
        yield from trace_lines(hook.traceback, indent) if traces else ()
    yield from evidence_lines(hook, indent)


def hook_line(hook: HookRecord, indent: str = "") -> str:
    """One call as one line."""
    sign = "✓" if hook.result is Verdict.OK else "-" if hook.result is Verdict.SKIPPED else "✗"
    said = f": {hook_words(hook)}" if hook.message else ""
    took = f" after {_seconds(hook.duration)}" if hook.duration else ""  # nothing where it was not called at all
    return f"{indent}{sign} {hook.hook} of {hook.plugin}: {hook.result.value}{took}{said}"


def hook_words(hook: HookRecord) -> str:
    """What a call says of how it went, and where in its plugin it failed."""
    return f"{hook.message}, {hook.where}" if hook.where else hook.message


def attempt_words(attempt: Attempt) -> str:
    """The same of an attempt. Where a request was refused or not answered the place is only a line of its method."""
    unexpected = attempt.where and attempt.traceback and attempt.result == Verdict.FAILED
    return f"{attempt.message}, {attempt.where}" if unexpected else attempt.message


def trace_lines(trace: str, indent: str = "") -> Iterator[str]:
    """A traceback line by line, set in."""
    yield from (f"{indent}    {line}" for line in trace.splitlines())


def evidence_lines(hook: HookRecord, indent: str) -> Iterator[str]:
    """The evidence that compares before and after, as a person reads it; the rest stands in the JSON."""
    for one in comparisons(hook):
        figures = (f"{figure.name} {' → '.join(filter(None, (figure.before, figure.after)))}" for figure in one.figures)
        yield f"{indent}{'✓' if one.proven else '✗'} {one.name}: {', '.join(figures)}"


def _seconds(duration: float) -> str:
    return format_duration(round(duration, 1))


def problem_line(problem: Problem) -> str:
    """One problem as text that may be shown as it is; see `problem_lines`."""
    return page(problem_lines(problem))


def problem_lines(problem: Problem) -> list[str]:
    """One problem as one line, its remedy as a second one."""
    sign = "✗" if problem.severity is Severity.ERROR else "!"
    hint = [f"    → {problem.remedy}"] if problem.remedy else []
    return [f"{sign} {problem.what} {problem.where}: {problem.message}", *hint]


def _closing(report: Report) -> str:
    counts = {outcome: sum(guest.outcome is outcome for guest in report.guests) for outcome in Outcome}
    told = ", ".join(f"{count} {outcome.value}" for outcome, count in counts.items() if count)
    if not told:
        told = "no running guests were found" if report.run.kind is RunKind.SHUTDOWN else "nothing to restore"
    verdict = "as planned" if report.run.exit_code == 0 else "not everything as planned"
    return f"{report.run.kind.value}: {told}; {verdict}, {report.run.duration:.1f}s"
