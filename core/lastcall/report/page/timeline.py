"""A run as a chart: for each guest when it waited, which hooks and rungs it had, and when the plug was pulled.

Everything is in seconds from the start of the run, and bounded: logs are files, and files can say anything.
"""

from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias

from lastcall.api.guests import Key, Outcome
from lastcall.api.results import FAILURES, Attempt, GuestResult, HookRecord, Report, Verdict
from lastcall.formats.bounded_text import first_names
from lastcall.formats.quantities import format_duration
from lastcall.formats.values import value
from lastcall.report.page.critical_path import critical_path, end_of

Kind: TypeAlias = Literal["waiting", "moving", "hook", "rung", "failed", "plug", "planned", "longest"]

MOST_TICKS = 8
MOST_NAMES = 3  # of those that a guest waited for; the others are counted
LONGEST = 1e8  # seconds; three years
NOTABLE = 0.05  # seconds; who waited no longer did not wait
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400)
_WENT = frozenset({*Outcome, Verdict.OK}) - {Outcome.FAILED, Outcome.LEFT, Outcome.UNKNOWN, Outcome.UNREADY}


@value
class Segment:
    """What went on from when to when, in words without times."""

    kind: Kind
    start: float
    end: float
    words: str


@value(kw_only=True)
class Track:
    """The line of one guest, or of the run itself (`guest` is None). `usual`: when it is usually done; `planned`: from
    when to when it was to be stopped, as usual and at worst, which is drawn below what happened.
    """

    guest: GuestResult | None
    segments: tuple[Segment, ...]
    critical: bool = False
    usual: float | None = None
    planned: tuple[Segment, ...] = ()


@value(kw_only=True)
class Timeline:
    """`span` is what the chart is wide. `marks`: moments of the deadline within it, by name."""

    span: float
    ticks: tuple[float, ...]
    marks: Mapping[str, float]
    tracks: tuple[Track, ...]
    path: tuple[GuestResult, ...]

    @property
    def foreseen(self) -> bool:
        """Whether it is known what was planned."""
        return any(track.planned for track in self.tracks)

    def part(self, seconds: float) -> float:
        """Where a moment stands, in percent of the width."""
        return round(100 * bounded_seconds(seconds) / self.span, 2)


def timeline(report: Report, usual: Mapping[Key, float]) -> Timeline:
    """The chart of a run, its guests in the order of their turns. `usual`: seconds that each takes as a rule."""
    path = critical_path(report.guests)
    critical = {guest.guest.key for guest in path}
    turns = sorted(report.guests, key=lambda guest: (guest.started, end_of(guest), guest.name))
    tracks = [_track(guest, guest.guest.key in critical, usual.get(guest.guest.key)) for guest in turns]
    if report.hooks:
        tracks.insert(0, Track(guest=None, segments=tuple(map(_call, report.hooks))))
    over = [report.run.duration, *(segment.end for track in tracks for segment in track.segments)]
    span = max(map(bounded_seconds, over)) or 1.0
    marks = {name: at for name, at in moments(report).items() if at <= 1.25 * span}
    span = max(span, *marks.values(), 0.001)
    return Timeline(span=span, ticks=tuple(_ticks(span)), marks=marks, tracks=tuple(tracks), path=path)


def moments(report: Report) -> dict[str, float]:
    """The moments of a run's deadline, by name."""
    run = report.run
    told = {
        "everybody is asked": run.last_ask,
        "end of waiting" if run.reason.voluntary else "last resort": run.last_resort,
        "deadline": run.deadline,
    }
    return {name: bounded_seconds(at) for name, at in told.items() if at is not None}


def bounded_seconds(seconds: float) -> float:
    """A moment that can be drawn."""
    return min(max(seconds, 0.0), LONGEST)


def waiting_words(guest: GuestResult) -> str:
    """Whom a guest waited for."""
    return first_names(guest.waited_for, MOST_NAMES) or "its turn"


def _track(guest: GuestResult, critical: bool, usual: float | None) -> Track:
    segments = list(_course(guest))
    for stop in guest.stops:
        segments += [*map(_call, stop.hooks), *map(_rung, stop.attempts)]
    return Track(
        guest=guest,
        segments=tuple(one for one in segments if one.end > one.start),
        critical=critical,
        usual=None if usual is None else guest.started + usual,
        planned=tuple(_planned(guest)),
    )


def _planned(guest: GuestResult) -> Iterator[Segment]:
    """What was planned, at worst and as usual; what lasts until the last resort ends at its mark, and has no bar."""
    planned = guest.planned
    if planned is None:
        return
    begins = planned.asked_latest if planned.asked_usually is None else planned.asked_usually
    if planned.off_latest is not None and planned.off_latest > begins:
        yield _segment("longest", begins, planned.off_latest - begins, "planned at worst")
    if planned.off_usually is not None:
        yield _segment("planned", begins, max(0.0, planned.off_usually - begins), "planned as usual")


def _course(guest: GuestResult) -> Iterator[Segment]:
    """What lies beneath hooks and rungs: it waited for its turn, and then was on its way, each time anew."""
    over = 0.0
    for stop in guest.stops:
        if stop is guest and stop.started - over > NOTABLE:
            yield _segment("waiting", over, stop.started - over, f"waited for {waiting_words(guest)}")
        yield _segment("moving", stop.started, stop.duration, "on its way")
        over = stop.started + stop.duration


def _call(hook: HookRecord) -> Segment:
    bad = hook.result in FAILURES
    words = f"{hook.hook} of {hook.plugin} {hook.result.value}"
    return _segment("failed" if bad else "hook", hook.started, hook.duration, words)


def _rung(attempt: Attempt) -> Segment:
    kind: Kind = "rung" if attempt.result in _WENT else "failed"
    if attempt.result == Outcome.FORCED:
        kind = "plug"
    return _segment(kind, attempt.started, attempt.duration, f"{attempt.method} {attempt.result}")


def _segment(kind: Kind, start: float, duration: float, words: str) -> Segment:
    return Segment(kind, bounded_seconds(start), bounded_seconds(start + duration), words)


def track_words(track: Track) -> str:
    """A line of the chart for who hears it: what went on, in its order, and how long."""
    told = sorted((one for one in track.segments if one.kind != "moving"), key=lambda one: one.start)
    return "; ".join(f"{one.words}, {format_duration(round(one.end - one.start, 1))}" for one in told) or "nothing"


def _ticks(span: float) -> Iterator[float]:
    step = next((one for one in _STEPS if span / one <= MOST_TICKS), span / MOST_TICKS)
    number = 0
    while number * step <= span:
        yield round(number * step, 3)
        number += 1
