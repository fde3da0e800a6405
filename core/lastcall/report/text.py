"""The report as text for a person, and as JSON for a program."""

from collections.abc import Iterable, Iterator

from lastcall.api.guests import Outcome, Reason, RunKind, host_of
from lastcall.api.naming.guest_names import GuestNames
from lastcall.api.results import Attempt, EarlierStop, GuestResult, HookRecord, PlannedStop, Report, Verdict
from lastcall.errors import Problem, Severity
from lastcall.formats.json_text import to_json
from lastcall.formats.layout.columns import FACT, NAME, REST, SIGN, Cell, Row, blocks, paragraph
from lastcall.formats.layout.natural import natural_key
from lastcall.formats.layout.screen import PLAIN, Screen, Tone
from lastcall.formats.quantities import format_duration
from lastcall.records.report_builder import as_planned, went_as_planned
from lastcall.report.evidence import comparisons
from lastcall.report.problems.alike import alike_as_one

_UNSEEN = frozenset({"connection", "permission"})  # problems of a connection whose guests nobody could look at


def report_json(report: Report) -> str:
    """The report as section 7 of the contract shows it."""
    return to_json(report, indent=1)


def as_text(report: Report, screen: Screen = PLAIN, *, traces: bool = False) -> str:
    """One line per guest, everything that was not as planned in full, and a closing line; with `traces` tracebacks."""
    return "\n".join(_lines(report, screen, traces=traces))


def _lines(report: Report, screen: Screen, *, traces: bool) -> Iterator[str]:
    for hook in report.hooks:
        if hook.result is Verdict.SKIPPED:  # of the whole run these are few, and say what was not done for it and why
            yield from hook_lines(hook, screen)
        yield from _told_of_hook(hook, screen, traces=traces)
    guests = sorted(report.guests, key=lambda guest: natural_key(guest.name))
    names = GuestNames(guests)
    rows = blocks((_guest_row(guest, names) for guest in guests), (SIGN, NAME, FACT, REST), screen)
    for guest, lines in zip(guests, rows, strict=True):
        yield from lines
        yield from _details(guest, screen, traces=traces)
    yield from all_problem_lines(report.problems, (guest.name for guest in guests), screen)
    run = report.run
    if run.mains_back is not None:
        yield from paragraph(mains_words(run.mains_back, turned=run.reason.voluntary), screen)
    yield from paragraph(_closing(report), screen, tone=None if report.run.exit_code == 0 else Tone.BAD)


def _guest_row(guest: GuestResult, names: GuestNames) -> Row:
    sign = Cell("✓", Tone.GOOD) if as_planned(guest) else Cell("✗", Tone.BAD)
    how = f" by {guest.method}" if guest.method else ""
    if guest.outcome is Outcome.MOVED:
        sign, how = Cell("→" if guest.moved_to else "←", Tone.GOOD), moved_words(guest.moved_to, guest.moved_from)
    name = Cell(names.of(guest), kept=names.place(guest))
    return sign, name, f"{guest.outcome.value}{how} in {_seconds(guest.duration)}", _words_of(guest)


def moved_words(to: str, back_from: str) -> str:
    """What stands after `moved`: ` to hb`, or ` back from hb`. Both are URIs, empty where it was not that way."""
    return f" to {host_of(to)}" if to else f" back from {host_of(back_from)}" if back_from else ""


def _words_of(guest: GuestResult) -> str:
    """What is said of how it went, and by which stage of an outage it was shed, or was to be."""
    stage = f"{'shed' if guest.ended else 'to be shed'} {guest.stage}" if guest.stage else ""
    return "; ".join(filter(None, (guest.message, stage)))


def _details(guest: GuestResult, screen: Screen, *, traces: bool) -> Iterator[str]:
    for stop in guest.earlier:
        yield from paragraph(f"before somebody started it again: {stop_words(stop)}", screen, 4)
        yield from _details_of_stop(stop, screen, traces=traces)
    if traces and guest.planned:
        yield from paragraph(f"planned: {planned_words(guest.planned)}", screen, 4, tone=Tone.ASIDE)
    yield from _details_of_stop(guest, screen, traces=traces)


def stop_words(stop: GuestResult | EarlierStop) -> str:
    """How a guest went, and in what time."""
    how = f" by {stop.method}" if stop.method else ""
    return f"{stop.outcome.value}{how} in {_seconds(stop.duration)}" + (f", {stop.message}" if stop.message else "")


def _details_of_stop(guest: GuestResult | EarlierStop, screen: Screen, *, traces: bool) -> Iterator[str]:
    # A rung that was skipped explains why a guest did not go; where it went, as most without an agent do, it is noise.
    went = went_as_planned(guest)
    told = {Verdict.FAILED.value, Verdict.TIMEOUT.value, *(() if went else (Verdict.SKIPPED.value,))}
    for attempt in guest.attempts:
        if attempt.result in told:
            said = f": {attempt_words(attempt)}" if attempt.message else ""
            text = f"{attempt.method} {attempt.result}{_after(attempt.duration)}{said}"
            yield from paragraph(text, screen, 4)
            yield from _traceback(attempt.traceback, screen, 4) if traces else ()
    for hook in guest.hooks:
        yield from _told_of_hook(hook, screen, 4, traces=traces)


def planned_words(planned: PlannedStop) -> str:
    """What was planned for a guest, in a line."""
    rungs = [f"{rung.method} ({'to the end' if rung.timeout is None else f'≤ {format_duration(rung.timeout)}'})"
             for rung in planned.rungs]  # fmt: skip
    return f"{planned_times(planned)}; {' → '.join([*rungs, *planned.last_resort]) or 'not asked'}"


def planned_times(planned: PlannedStop) -> str:
    """When a guest was to be asked and off."""
    usually = "" if planned.asked_usually is None else f"asked at {_seconds(planned.asked_usually)}"
    usually += "" if planned.off_usually is None else f" and off at {_seconds(planned.off_usually)} as usual, "
    off = "until the last resort" if planned.off_latest is None else f"off by {_seconds(planned.off_latest)}"
    return f"{usually}asked by {_seconds(planned.asked_latest)} and {off} at worst"


def _told_of_hook(hook: HookRecord, screen: Screen, indent: int = 0, *, traces: bool) -> Iterator[str]:
    """What failed, and what was proven."""
    if hook.result not in {Verdict.OK, Verdict.SKIPPED}:
        yield from hook_lines(hook, screen, indent)
        yield from _traceback(hook.traceback, screen, indent) if traces else ()
    yield from evidence_lines(hook, screen, indent)


def hook_lines(hook: HookRecord, screen: Screen, indent: int = 0) -> list[str]:
    """One call, and what it said."""
    sign, tone = {Verdict.OK: ("✓", Tone.GOOD), Verdict.SKIPPED: ("-", None)}.get(hook.result, ("✗", Tone.BAD))
    said = f": {hook_words(hook)}" if hook.message else ""
    was_left_out = not hook.called and hook.result is Verdict.TIMEOUT  # which its own words say
    went = "" if was_left_out else f": {hook.result.value}{_after(hook.duration)}"
    return paragraph(f"{hook.hook} of {hook.plugin}{went}{said}", screen, indent, sign=sign, tone=tone)


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


def _traceback(trace: str, screen: Screen, indent: int) -> Iterator[str]:
    """The same for a screen, which breaks it where it has to: lines of code have line ends of their own."""
    return (screen.paint(line, Tone.ASIDE) for line in trace_lines(trace, " " * indent))


def evidence_lines(hook: HookRecord, screen: Screen, indent: int = 0) -> Iterator[str]:
    """The evidence that compares before and after, as a person reads it; the rest stands in the JSON."""
    for one in comparisons(hook):
        figures = (f"{figure.name} {' → '.join(filter(None, (figure.before, figure.after)))}" for figure in one.figures)
        sign, tone = ("✓", Tone.GOOD) if one.proven else ("✗", Tone.BAD)
        yield from paragraph(f"{one.name}: {', '.join(figures)}", screen, indent, sign=sign, tone=tone)


def mains_words(at: float, *, turned: bool, back: bool = True) -> str:
    """That the mains came back, or went again, so many seconds after the start of a run, and what it made of that."""
    if not back:
        return f"the mains are gone again {_seconds(at)} after its start: it goes on"
    if turned:
        return f"turned round {_seconds(at)} after its start: the mains are back"
    return f"the mains are back {_seconds(at)} after its start: the host stops all the same"


def _after(duration: float) -> str:
    """How long it took; nothing of what took no time, or was not called at all."""
    return f" after {_seconds(duration)}" if round(duration, 1) else ""


def _seconds(duration: float) -> str:
    return format_duration(round(duration, 1))


def problem_line(problem: Problem) -> str:
    """One problem as text that may be shown as it is; see `problem_lines`."""
    return "\n".join(problem_lines(problem))


def problem_lines(problem: Problem, screen: Screen = PLAIN, indent: int = 0) -> list[str]:
    """One problem with its sign, its remedy below it: two lines in a pipe."""
    sign, tone = ("✗", Tone.BAD) if problem.severity is Severity.ERROR else ("!", Tone.WARNING)
    text = f"{problem.what} {problem.where}: {problem.message}"
    remedy = paragraph(problem.remedy, screen, indent + 4, sign="→") if problem.remedy else []
    return [*paragraph(text, screen, indent, sign=sign, tone=tone), *remedy]


def all_problem_lines(problems: Iterable[Problem], guests: Iterable[str], screen: Screen = PLAIN) -> Iterator[str]:
    """Several problems, those that many of these guests (names) have alike as one."""
    for problem in alike_as_one(problems, guests, screen):
        yield from problem_lines(problem, screen)


def _closing(report: Report) -> str:
    counts = {outcome: sum(guest.outcome is outcome for guest in report.guests) for outcome in Outcome}
    told = ", ".join(f"{count} {outcome.value}" for outcome, count in counts.items() if count)
    sleeps, stops = report.run.reason is Reason.SLEEP, report.run.kind is RunKind.SHUTDOWN
    if not told and sleeps:
        told = "no guest is to be paused or saved" if stops else "no guest was"
    elif not told and stops:
        unseen = any(one.what in _UNSEEN and one.severity is Severity.ERROR for one in report.problems)
        told = "which guests run is not known" if unseen else "no running guests were found"
    elif not told:
        told = "nothing to restore"
    verdict = "as planned" if report.run.exit_code == 0 else "not everything as planned"
    # Who tries it by hand must not read that guests were shut down.
    called = ("sleep" if stops else "after the sleep") if sleeps else report.run.kind.value
    return f"{called}: {told}; {verdict}, {report.run.duration:.1f}s"
