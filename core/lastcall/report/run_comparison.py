"""What differs between two runs: guests, what became of them and how, how long it took, and problems."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from lastcall.api.guests import Key, Outcome
from lastcall.api.naming.guest_names import GuestNames
from lastcall.api.results import GuestResult
from lastcall.errors import Problem
from lastcall.formats.layout.columns import REST, Cell, Column, Fit, in_columns, paragraph
from lastcall.formats.layout.natural import natural_key
from lastcall.formats.layout.screen import PLAIN, Screen
from lastcall.formats.quantities import format_duration
from lastcall.formats.values import value
from lastcall.report.run_history import PastRun, local_time
from lastcall.report.text import problem_lines

# No guest takes the same time twice. What is told is a second or more, and a fifth or more of the longer time.
_SECONDS, _PART = 1.0, 0.2


@value(kw_only=True)
class GuestSide:
    """A guest in one of the runs. `attempts`: the rungs with what came of them, `acpi timeout` say."""

    outcome: Outcome
    method: str | None
    duration: float
    attempts: tuple[str, ...]


@value(kw_only=True)
class GuestDifference:
    """A guest in both runs, null where it was not in one. `differs`: what of it does, where it was in both."""

    name: str
    uuid: str
    uri: str
    before: GuestSide | None
    after: GuestSide | None
    differs: tuple[str, ...]


@value
class ValueDifference:
    """What a fact of the run was, and what it is."""

    before: Any
    after: Any


@value(kw_only=True)
class RunComparison:
    """Of two runs: facts of the run that differ, guests that do, how many do not, and problems that only one has."""

    run: Mapping[str, ValueDifference]
    guests: tuple[GuestDifference, ...]
    same: int
    problems_gone: tuple[Problem, ...]
    problems_new: tuple[Problem, ...]


def compare_runs(before: PastRun, after: PastRun) -> RunComparison:
    """Compare them; guests are the same by connection and UUID."""
    first, second = before.report, after.report
    facts = {
        name: ValueDifference(was, now)
        for name in ("kind", "reason", "duration", "deadline", "exit_code", "host", "config", "versions")
        if _differs(name, was := getattr(first.run, name), now := getattr(second.run, name))
    }
    if before.complete != after.complete:
        facts["complete"] = ValueDifference(before.complete, after.complete)
    old, new = ({(one.uri, one.uuid): one for one in report.guests} for report in (first, second))
    guests = [_guest(key, old.get(key), new.get(key)) for key in dict.fromkeys((*old, *new))]
    different = tuple(one for one in guests if one.differs or None in {one.before, one.after})
    return RunComparison(
        run=facts,
        guests=different,
        same=len(guests) - len(different),
        problems_gone=tuple(one for one in first.problems if one not in second.problems),
        problems_new=tuple(one for one in second.problems if one not in first.problems),
    )


def _guest(key: Key, old: GuestResult | None, new: GuestResult | None) -> GuestDifference:
    before, after = old and _side(old), new and _side(new)
    names = ("outcome", "method", "duration", "attempts") if before and after else ()
    differs = tuple(name for name in names if _differs(name, getattr(before, name), getattr(after, name)))
    known = new or old
    return GuestDifference(
        name=known.name if known else "", uuid=key[1], uri=key[0], before=before, after=after, differs=differs
    )  # fmt: skip


def _side(guest: GuestResult) -> GuestSide:
    attempts = tuple(f"{one.method} {one.result.value}" for one in guest.attempts)
    return GuestSide(outcome=guest.outcome, method=guest.method, duration=guest.duration, attempts=attempts)


def _differs(name: str, before: Any, after: Any) -> bool:
    if name == "duration":
        return abs(before - after) >= max(_SECONDS, _PART * max(before, after))
    return before != after


def comparison_text(before: PastRun, after: PastRun, screen: Screen = PLAIN) -> str:
    """The comparison for a person."""
    return "\n".join(_lines(before, after, compare_runs(before, after), screen))


def _lines(before: PastRun, after: PastRun, found: RunComparison, screen: Screen) -> Iterator[str]:
    for sign, run in (("-", before), ("+", after)):
        facts = run.report.run
        told = f"{facts.kind.value} ({facts.reason.value}) of {local_time(facts.started):%Y-%m-%d %H:%M:%S}"
        cut = "" if run.complete else f", {run.cut}"
        text = f"{facts.id}: {told}, {_time(facts.duration)}, exit code {facts.exit_code}{cut}"
        yield from paragraph(text, screen, sign=sign)
    for name in ("deadline", "host", "config", "versions"):
        if name in found.run:
            one = found.run[name]
            sides = (format_duration(side) if name == "deadline" else _plain(side) for side in (one.before, one.after))
            yield from paragraph(f"{name}: {' → '.join(sides)}", screen, 2)
    guests = sorted(found.guests, key=lambda guest: natural_key(guest.name))
    names = GuestNames((*before.report.guests, *after.report.guests))
    rows = [(_name_cell(guest, names), "; ".join(_changes(guest))) for guest in guests]
    yield from in_columns(rows, (Column(fit=Fit.NAME, gap=1), REST), screen, 2)
    if found.same:
        yield f"  {found.same} guest{'' if found.same == 1 else 's'} as before"
    for sign, problems in (("-", found.problems_gone), ("+", found.problems_new)):
        for problem in problems:
            first, *rest = problem_lines(problem, screen, 4)
            yield from (f"  {sign} {first.removeprefix('    ')}", *rest)


def _name_cell(guest: GuestDifference, names: GuestNames) -> Cell:
    place = names.place(guest)
    return Cell(f"{names.of(guest)}:", kept=place and f"{place}:")


def _changes(guest: GuestDifference) -> Iterator[str]:
    before, after = guest.before, guest.after
    if before is None or after is None:
        told = after or before
        yield f"only in the {'second' if after else 'first'}: {told.outcome.value if told else ''}"
        return
    if "outcome" in guest.differs or "method" in guest.differs:
        yield f"{_end(before)} → {_end(after)}"
    if "duration" in guest.differs:
        yield f"{_time(before.duration)} → {_time(after.duration)}"
    if "attempts" in guest.differs:
        yield f"[{', '.join(before.attempts)}] → [{', '.join(after.attempts)}]"


def _end(side: GuestSide) -> str:
    return side.outcome.value + (f" by {side.method}" if side.method else "")


def _plain(side: Any) -> str:
    if not isinstance(side, Mapping):
        return str(side)
    return ", ".join(f"{name} {one}" for name, one in cast("Mapping[str, str]", side).items())


def _time(seconds: float) -> str:
    return format_duration(round(seconds, 1))
