"""From records to the report. The same fold serves the run itself and a run log read back later."""

from collections.abc import Iterable, Sequence
from dataclasses import field, replace
from typing import TypeVar

from lastcall.api.guests import Guest, Key, Outcome
from lastcall.api.results import Attempt, EarlierStop, GuestResult, HookRecord, PlannedStop, Report, RunFacts, Verdict
from lastcall.errors import ExitCode, Problem, Severity
from lastcall.formats.values import changing
from lastcall.records.records import (
    AttemptEnded,
    ChargeAwaited,
    GuestAsked,
    GuestBegun,
    GuestEnded,
    GuestPlanned,
    HookEnded,
    PowerChanged,
    ProblemFound,
    Record,
    RunEnded,
    RunJoined,
    RunStarted,
    StopsForeseen,
)

VERSION = 1
TRACES = 1 << 20  # characters of all tracebacks of a report
FailureT = TypeVar("FailureT", Attempt, HookRecord)
START = "start"  # the method of a restore
RETURN = "come back"  # that of a guest which was moved to another host
_AS_PLANNED = frozenset(
    {
        Outcome.STOPPED,
        Outcome.SAVED,
        Outcome.STARTED,
        Outcome.RESUMED,
        Outcome.PRESENT,
        Outcome.PAUSED,
        Outcome.MOVED,
        Outcome.SKIPPED,
    }
)


def as_planned(result: GuestResult) -> bool:
    """Say whether a guest went the way its plan said, each time. Forcing it off was the plan only where its first rung
    does.
    """
    return all(map(went_as_planned, result.stops))


def went_as_planned(result: GuestResult | EarlierStop) -> bool:
    """The same of one time that it was to stop."""
    # ok: it was only resumed or woken. The last resort asks nobody, so that who met it unasked has no `asked`.
    rungs = [attempt for attempt in result.attempts if attempt.result != Verdict.OK]
    return is_planned_end(result.outcome, rungs[0].result if rungs else None, asked=result.asked is not None)


def is_planned_end(outcome: Outcome, first: Outcome | Verdict | None, *, asked: bool) -> bool:
    """The same by what became of it, the result of its first rung, and whether that has asked it."""
    if outcome is not Outcome.FORCED:
        return outcome in _AS_PLANNED
    return first == Outcome.FORCED and asked


@changing
class _Story:
    guest: Guest
    began: float | None = None
    tried: bool = False  # whether a request was begun
    asked: float | None = None
    waited_for: tuple[str, ...] = ()
    out_of_order: bool = False
    attempts: list[Attempt] = field(default_factory=list)
    heard: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])
    hooks: list[HookRecord] = field(default_factory=list)
    end: GuestEnded | None = None
    planned: PlannedStop | None = None
    stage: str = ""
    told: GuestResult | None = None  # once it is decided, until something more is heard
    earlier: tuple[EarlierStop, ...] = ()


class ReportBuilder:
    """Collects records; gives the report, or one guest's result, at any moment."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._start: RunStarted | None = None
        self._end: RunEnded | None = None
        self._last = 0.0
        self.mains_back: float | None = None  # as in `RunFacts`
        self._stories: dict[Key, _Story] = {}
        self._hooks: list[HookRecord] = []
        self._problems: list[Problem] = []
        self._traces = 0
        for record in records:
            self.take(record)

    def take(self, record: Record) -> None:
        """Add a record."""
        self._last = max(self._last, record.at)
        match record:
            case RunStarted():
                self._start = record
            case RunJoined() | PowerChanged():
                self._take_terms(record)
            case ChargeAwaited() if self._start:
                self._start = replace(self._start, deadline=record.deadline)
            case RunEnded():
                self._end = record
            case ProblemFound():
                self._problems.append(record.problem)
            case GuestPlanned() | StopsForeseen():
                self._take_plan(record)
            case HookEnded():
                story = self._stories.get(record.guest) if record.guest else None
                (story.hooks if story else self._hooks).append(self._traced(record.record))
                if story:
                    story.told = None
            case GuestBegun() | GuestAsked() | AttemptEnded() | GuestEnded():
                self._take_story(self._stories[record.guest], record)
            case _:
                pass

    def _take_terms(self, record: RunJoined | PowerChanged) -> None:
        # Whatever else is told of a host stop later counts more than that the mains were back once.
        self.mains_back = record.at if isinstance(record, PowerChanged) and record.back else None
        if self._start:
            self._start = replace(
                self._start, reason=record.reason, deadline=record.deadline, last_ask=record.last_ask,
                last_resort=record.last_resort,
            )  # fmt: skip

    def _traced(self, failed: FailureT) -> FailureT:
        """The same, without its traceback where the report has so many already: of 1500 guests each may have one."""
        self._traces += len(failed.traceback)
        return failed if self._traces <= TRACES or not failed.traceback else replace(failed, traceback="")

    def plan(self, guest: Guest) -> None:
        """Begin a guest's story, or go on with that of one that was left.

        Of one that was off, and begins anew, it is kept how it went: its plug may have been pulled.
        """
        story = self._stories.get(guest.key)
        if story and story.end and story.end.ended is None:
            story.end = story.told = None
        else:
            earlier = (*story.earlier, _earlier(self.result(guest.key))) if story and story.end else ()
            self._stories[guest.key] = _Story(guest, earlier=earlier)

    def _take_plan(self, record: GuestPlanned | StopsForeseen) -> None:
        if isinstance(record, GuestPlanned):
            self.plan(record.guest)
            self._stories[record.guest.key].stage = record.stage
            return
        for one in record.guests:
            story = self._stories[one.guest]
            story.planned, story.told = one.planned, None

    def _take_story(self, story: _Story, record: GuestBegun | GuestAsked | AttemptEnded | GuestEnded) -> None:
        story.told = None
        match record:
            case GuestBegun():
                story.began = record.at if story.began is None else story.began
                story.waited_for = record.waited_for
            case GuestAsked():
                story.tried = True
                story.out_of_order |= record.out_of_order
                if record.method in {START, RETURN} and story.asked is None:
                    story.asked = record.at
            case AttemptEnded():
                story.attempts.append(self._traced(record.attempt))
                if record.heard is not None:
                    story.heard.append((record.attempt.method, record.heard))
                    story.asked = record.heard if story.asked is None and record.asks else story.asked
            case GuestEnded():
                story.end = record

    def result(self, key: Key) -> GuestResult:
        """What is known of one guest so far; its outcome is `unknown` until it is decided."""
        story = self._stories[key]
        if story.told is None:
            result = self._tell(story)
            if story.end is None:
                return result  # its duration grows with every record
            story.told = result
        return story.told

    def _tell(self, story: _Story) -> GuestResult:
        end = story.end
        started = story.began if story.began is not None else end.at if end else self._last
        return GuestResult(
            name=story.guest.name,
            uuid=story.guest.uuid,
            uri=story.guest.uri,
            outcome=end.outcome if end else Outcome.UNKNOWN,
            method=end.method if end else None,
            started=started,
            duration=round((end.at if end else self._last) - started, 3),
            state_before=story.guest.state,
            persistent=story.guest.persistent,
            driver=story.guest.driver,
            planned=story.planned,
            stage=story.stage,
            ended=end.ended if end else None,
            asked=story.asked,
            waited_for=story.waited_for,
            out_of_order=story.out_of_order,
            message=end.message if end else "",
            moved_to=end.moved_to if end else "",
            moved_from=end.moved_from if end else "",
            attempts=tuple(story.attempts),
            hooks=tuple(story.hooks),
            earlier=story.earlier,
        )

    def heard(self, key: Key) -> Sequence[tuple[str, float]]:
        """The methods whose requests took effect, as far as anybody knows, and when these left."""
        return self._stories[key].heard

    def tried(self, key: Key) -> bool:
        """Say whether a request was begun: an attempt whose time was over before that has sent nothing."""
        return self._stories[key].tried

    def decided(self, key: Key) -> bool:
        """Say whether it is decided what became of the guest."""
        return self._stories[key].end is not None

    @property
    def as_planned(self) -> bool:
        """True while every guest, hook and connection is as it should be."""
        results = [self.result(key) for key in self._stories]
        hooks = [*self._hooks, *(hook for result in results for stop in result.stops for hook in stop.hooks)]
        return (
            all(as_planned(result) for result in results)
            and all(hook.result in {Verdict.OK, Verdict.SKIPPED} for hook in hooks)
            and all(problem.severity is not Severity.ERROR for problem in self._problems)
        )

    @property
    def exit_code(self) -> ExitCode:
        """What the run's exit code is, or would be by what is known now.

        Where nothing could be done because of missing rights, that is the code, as it is the remedy.
        """
        # By outcomes alone: libvirt-guests exits with 0 after a timeout in serial mode, and with 1 in parallel mode.
        if self.as_planned:
            return ExitCode.OK
        done = any(as_planned(self.result(key)) for key in self._stories)
        denied = any(problem.what == "permission" for problem in self._problems)
        return ExitCode.NO_PERMISSION if denied and not done else ExitCode.NOT_AS_PLANNED

    def report(self) -> Report:
        """The report so far."""
        start = self._start
        if start is None:
            raise ValueError("no record of a run's start")
        run = RunFacts(
            id=start.id,
            kind=start.kind,
            reason=start.reason,
            started=start.started,
            duration=self._end.at if self._end else self._last,
            deadline=start.deadline,
            # The log may fail at its very last line, when the code has been noted: then what is known now decides.
            exit_code=(self._end.exit_code if self._end else 0) or self.exit_code.value,
            boot_id=start.boot_id,
            host=start.host,
            config=start.config,
            versions=start.versions,
            last_ask=start.last_ask,
            last_resort=start.last_resort,
            mains_back=self.mains_back,
        )
        guests = tuple(self.result(key) for key in self._stories)
        return Report(version=VERSION, run=run, guests=guests, hooks=tuple(self._hooks), problems=tuple(self._problems))


def _earlier(result: GuestResult) -> EarlierStop:
    return EarlierStop(
        outcome=result.outcome, method=result.method, started=result.started, duration=result.duration,
        ended=result.ended, asked=result.asked, message=result.message, attempts=result.attempts, hooks=result.hooks,
    )  # fmt: skip
