"""The report as one page for a browser: what there is to show, and nothing of how it looks."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from lastcall.api.guests import Key, Outcome, RunKind
from lastcall.api.naming.guest_names import GuestNames
from lastcall.api.results import FAILURES, Attempt, GuestResult, HookRecord, Report
from lastcall.errors import Severity
from lastcall.formats.quantities import format_duration
from lastcall.formats.values import value
from lastcall.records.report_builder import as_planned, went_as_planned
from lastcall.report.evidence import Comparison, comparisons
from lastcall.report.page.critical_path import end_of
from lastcall.report.page.timeline import Timeline, bounded_seconds, moments, timeline
from lastcall.report.run_history import PastRun, local_time, usual_times
from lastcall.report.text import attempt_words, hook_words

MANY_STEPS = 4000  # of a run; from then on calls that went well and had nothing to say are only counted
SLOWER, SLOWER_BY = 1.5, 2.0  # times, and seconds, from which a guest was slower than usual


@value
class Fault:
    """Something that was not as planned. `guest` is the number of the guest that it is about, for a link."""

    error: bool
    name: str
    title: str
    message: str
    remedy: str = ""
    guest: int | None = None
    lines: tuple[str, ...] = ()
    trace: str = ""


@value
class StepTaken:
    """A hook's call or a rung, as a row."""

    at: float
    what: str
    result: str
    bad: bool
    took: float
    said: str
    trace: str


@value(kw_only=True)
class GuestStory:
    """All that is told of one guest. `unsaid`: calls that went well and are left out."""

    number: int
    result: GuestResult
    good: bool
    failed_hooks: int
    steps: tuple[StepTaken, ...]
    unsaid: int
    evidence: tuple[tuple[str, Comparison], ...]
    usual: float | None

    @property
    def rating(self) -> str:
        """`good`, `odd` where it went as planned and a hook of it did not, or `bad`."""
        return "bad" if not self.good else "odd" if self.failed_hooks else "good"

    @property
    def slower(self) -> bool:
        """Whether it took notably longer than usual."""
        took = self.result.duration
        return self.usual is not None and took > SLOWER * self.usual and took > self.usual + SLOWER_BY


@value(kw_only=True)
class RunStory:
    """All that is told of one run. `home`: the connection of most guests; `cut`: why it is not `complete`."""

    report: Report
    complete: bool
    cut: str
    began: datetime
    faults: tuple[Fault, ...]
    chart: Timeline
    guests: tuple[GuestStory, ...]
    by_key: Mapping[Key, GuestStory]
    home: str
    names: GuestNames
    moments: Mapping[str, float]

    @property
    def good(self) -> bool:
        """Whether everything went as planned."""
        return self.complete and self.report.run.exit_code == 0

    @property
    def counts(self) -> Mapping[str, int]:
        """How many guests have each outcome."""
        found = [guest.outcome for guest in self.report.guests]
        return {outcome.value: found.count(outcome) for outcome in Outcome if outcome in found}

    def place(self, guest: GuestResult) -> str:
        """Where a guest is, unless that is where most are."""
        return "" if guest.uri == self.home else guest.uri

    @property
    def verdict(self) -> str:
        """How it went, in a sentence."""
        if not self.complete:
            return f"It {self.cut}"
        if self.good:
            return "Everything went as planned"
        bad, count = sum(not guest.good for guest in self.guests), len(self.guests)
        hooks = sum(map(_failed, self.report.hooks)) + sum(guest.failed_hooks for guest in self.guests)
        errors = sum(problem.severity is Severity.ERROR for problem in self.report.problems)
        told = [f"{bad} of {_several(count, 'guest')} did not go as planned"] if bad else ["All guests went as planned"]
        told += [f"{_several(hooks, 'hook')} failed"] if hooks else []
        told += [_several(errors, "error")] if errors else []
        return ", ".join(told)

    @property
    def haste(self) -> str:
        """How far into its deadline the run got: `calm`, `late` from the last ask on, `over` from the last resort."""
        run = self.report.run
        if run.last_resort is not None and run.duration >= run.last_resort:
            return "over"
        return "late" if run.last_ask is not None and run.duration >= run.last_ask else "calm"

    @property
    def full_time(self) -> float:
        """What the bar of the deadline is wide, in seconds."""
        return max(*self.moments.values(), bounded_seconds(self.report.run.duration), 0.001)

    def story_of(self, guest: GuestResult) -> GuestStory:
        """What is told of a guest of the chart."""
        return self.by_key[guest.guest.key]

    def clock(self, seconds: float) -> str:
        """What a clock of this host showed then."""
        try:
            return f"{self.began + timedelta(seconds=bounded_seconds(seconds)):%H:%M:%S}"
        except OverflowError:  # a log may say that it was the last hour that a calendar has
            return "?"


def run_stories(runs: Sequence[PastRun], earlier: Sequence[PastRun], *, traces: bool = False) -> Iterator[RunStory]:
    """What there is to tell of runs. `earlier`: those before them; with `traces` the tracebacks of what failed."""
    from statistics import mode  # here: as in `usual_times`

    for run in runs:
        report = run.report
        before = [one for one in earlier if one.report.run.id < report.run.id]
        usual = usual_times(run, before)
        guests, names = tuple(_guests(report, usual, traces=traces)), GuestNames(report.guests)
        yield RunStory(
            report=report,
            complete=run.complete,
            cut=run.cut,
            began=local_time(report.run.started),
            faults=tuple(_faults(report, guests, names, traces=traces)),
            chart=timeline(report, usual),
            guests=guests,
            by_key={one.result.guest.key: one for one in guests},
            home=mode([one.uri for one in report.guests] or [""]),
            names=names,
            moments=moments(report),
        )


def _guests(report: Report, usual: Mapping[Key, float], *, traces: bool) -> Iterator[GuestStory]:
    many = sum(len(one.attempts) + len(one.hooks) for guest in report.guests for one in guest.stops) > MANY_STEPS
    turns = sorted(report.guests, key=lambda guest: (guest.started, end_of(guest), guest.name))
    for number, guest in enumerate(turns):
        hooks = [hook for stop in guest.stops for hook in stop.hooks]
        attempts = [attempt for stop in guest.stops for attempt in stop.attempts]
        steps = sorted([*map(_attempt, attempts), *map(_call, hooks)], key=lambda step: step.at)
        told = [step for step in steps if step.bad or step.said or not many]
        yield GuestStory(
            number=number,
            result=guest,
            good=as_planned(guest),
            failed_hooks=sum(map(_failed, hooks)),
            steps=tuple(step if traces else _without_trace(step) for step in told),
            unsaid=len(steps) - len(told),
            evidence=tuple((hook.plugin, one) for hook in hooks for one in comparisons(hook)),
            usual=usual.get(guest.guest.key),
        )


def _attempt(attempt: Attempt) -> StepTaken:
    bad = attempt.result in FAILURES | {Outcome.FORCED, Outcome.LEFT, Outcome.UNKNOWN}
    return StepTaken(
        attempt.started, attempt.method, attempt.result.value, bad, attempt.duration, attempt_words(attempt),
        attempt.traceback,
    )  # fmt: skip


def _call(hook: HookRecord) -> StepTaken:
    what = f"{hook.hook} of {hook.plugin}"
    return StepTaken(
        hook.started, what, hook.result.value, _failed(hook), hook.duration, hook_words(hook), hook.traceback
    )


def _without_trace(step: StepTaken) -> StepTaken:
    return StepTaken(step.at, step.what, step.result, step.bad, step.took, step.said, "")


def _failed(hook: HookRecord) -> bool:
    return hook.result in FAILURES


def _faults(report: Report, guests: Sequence[GuestStory], names: GuestNames, *, traces: bool) -> Iterator[Fault]:
    """Errors first: guests, then calls of the run, then problems; then warnings."""
    yield from (_guest_fault(guest, names, report.run.kind) for guest in guests if guest.rating != "good")
    for hook in filter(_failed, report.hooks):
        title = f"of {hook.plugin}: {hook.result.value}"
        trace = hook.traceback if traces else ""
        yield Fault(True, hook.hook, title, hook_words(hook), trace=trace)
    for problem in sorted(report.problems, key=lambda one: one.severity is not Severity.ERROR):
        error = problem.severity is Severity.ERROR
        yield Fault(error, problem.what, problem.where, problem.message, problem.remedy)


def _guest_fault(guest: GuestStory, names: GuestNames, kind: RunKind) -> Fault:
    result = guest.result
    lines = tuple(
        f"{step.what} {step.result} after {format_duration(round(step.took, 1))}{f': {step.said}' if step.said else ''}"
        for step in guest.steps
        if step.bad
    )
    unasked = result.outcome is Outcome.FORCED and result.asked is None
    message = result.message or ("it was never asked" if unasked else "")
    return Fault(True, names.of(result), _way(guest, kind), message, guest=guest.number, lines=lines)


def _way(guest: GuestStory, kind: RunKind) -> str:
    """What became of a guest that is told of among the problems."""
    if guest.rating == "odd":
        return f"{guest.result.outcome.value}, but {_several(guest.failed_hooks, 'hook')} failed"
    stop = [stop for stop in guest.result.stops if not went_as_planned(stop)][-1]
    later = "" if stop is guest.result else ", before somebody started it again"
    way = {
        Outcome.FORCED: "was forced off",
        Outcome.LEFT: "was left running",
        Outcome.UNREADY: "was started, and did not get ready",
        Outcome.FAILED: "did not stop as it should" if kind is RunKind.SHUTDOWN else "did not start",
        Outcome.UNKNOWN: "may be off or not: nobody knows",
    }.get(stop.outcome, stop.outcome.value)
    return f"{way}{later}"


def _several(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
