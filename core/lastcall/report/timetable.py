"""A plan as an operator would pin it to the wall: who is asked when, how, after whom, and what comes then."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lastcall.api.guests import Key
from lastcall.formats.quantities import format_duration
from lastcall.formats.values import value
from lastcall.planning.history import Usual
from lastcall.planning.hook_times import ExpectedCall
from lastcall.planning.plan import PlannedGuest, Step
from lastcall.planning.worst_case import Outlook


@value
class Line:
    """A planned guest: whom it waits for, the rungs that are no use for it and why, and facts from plugins."""

    planned: PlannedGuest
    after: tuple[str, ...]
    unfit: Mapping[str, str]
    facts: Mapping[str, Any]


def as_lines(lines: Sequence[Line], outlook: Outlook, *, forced: bool, whence: bool) -> Iterator[str]:
    """The timetable, in the order of asking. `forced`: the run takes the last resort. `whence`: with where each time
    comes from.
    """
    yield _milestones(outlook, forced=forced)
    if not lines:
        yield "  no active guests"
        return
    ordered = sorted(lines, key=lambda line: _moment(line, outlook))
    rows = [("usually", "latest", "guest", "state", "")]
    rows += [_row(line, outlook, forced=forced) for line in ordered]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row, line in zip(rows, [None, *ordered], strict=True):
        times = f"{row[0]:>{widths[0]}}  {row[1]:>{widths[1]}}"
        yield f"  {times}  {row[2]:<{widths[2]}}  {row[3]:<{widths[3]}}  {row[4]}".rstrip()
        indent = " " * (sum(widths[:2]) + 6)
        if line:
            yield from (f"{indent}{words}" for words in (_whence(line, outlook) if whence else ()))
            yield from (f"{indent}{name}: {value}" for name, value in line.facts.items())
    yield from _paths(outlook, {line.planned.guest.key: line.planned.guest.name for line in lines})


def _milestones(outlook: Outlook, *, forced: bool) -> str:
    deadline = outlook.deadline
    if deadline.end == math.inf:
        return "  no deadline"
    asked, last, end = (_time(moment) for moment in (deadline.last_ask, deadline.last_resort, deadline.end))
    return f"  everybody is asked by {asked}, {'last resort' if forced else 'left running'} from {last}, over by {end}"


def _moment(line: Line, outlook: Outlook) -> tuple[float, float, str]:
    key = line.planned.guest.key
    left_alone = math.inf if line.planned.left_because else 0.0  # last: there is nothing to wait for
    return left_alone + outlook.latest(key), outlook.usually(key), line.planned.guest.name


def _row(line: Line, outlook: Outlook, *, forced: bool) -> tuple[str, str, str, str, str]:
    planned, key = line.planned, line.planned.guest.key
    name, state = planned.guest.name, planned.guest.state.value
    if planned.left_because:
        return "", "", name, state, f"left alone: {planned.left_because}"
    usually = _sign(key, outlook) + _time(outlook.usually(key))
    return usually, _time(outlook.latest(key)), name, state, _ladder_text(line, forced=forced)


def _sign(key: Key, outlook: Outlook) -> str:
    """How a usual moment is to be read: later with guests before it that no run has seen, and most probably sooner with
    hook calls that none has seen, of which the whole time box counts.
    """
    first, guessed = outlook.worst.starts.get(key, 0.0) <= 0.0, outlook.hooks.guessed
    later = bool(outlook.unknown) and not first
    sooner = None in guessed or (not first and bool(guessed - outlook.unknown))
    return "~ " if later and sooner else "≥ " if later else "≤ " if sooner else ""


def _whence(line: Line, outlook: Outlook) -> Iterator[str]:
    """Where the times of a guest come from."""
    key = line.planned.guest.key
    if line.planned.left_because:
        return
    own = outlook.own.get(key)
    yield f"goes off in {_past(own)}" if own else "goes off in: no past run"
    yield from map(call_words, outlook.hooks.guests.get(key, ()))


def call_words(call: ExpectedCall) -> str:
    """What a hook call takes, and who says so."""
    named, limit = f"{call.hook} of {call.plugin}", f"{_time(call.limit)} ({call.set_by})"
    return f"{named}: {_past(call.usual)}; at most {limit}" if call.usual else f"{named}: {limit}; no past run"


def _past(usual: Usual) -> str:
    return f"usually {_time(usual.seconds)}, from {usual.runs} run{'' if usual.runs == 1 else 's'}"


def _ladder_text(line: Line, *, forced: bool) -> str:
    planned = line.planned
    steps = [_step_text(step, line.unfit.get(step.method)) for step in planned.steps]
    end = " → ".join(step.method for step in planned.last_resort) if forced else ""
    again = "restored" if planned.restore else "not restored"
    after = f"; after {', '.join(line.after)}" if line.after else ""
    return f"{' → '.join(steps) or 'not asked'}; else {end or 'left running'}; {again}{after}"


def _step_text(step: Step, unfit: str | None) -> str:
    if unfit:
        return f"{step.method} (skipped: {unfit})"
    return f"{step.method} (≤ {format_duration(step.timeout)})" if step.timeout else f"{step.method} (to the end)"


def _paths(outlook: Outlook, names: Mapping[Key, str]) -> Iterator[str]:
    # With a guest that no run has seen yet, the sum would be a guess that looks like a measurement.
    if outlook.usual.total and not outlook.unknown:
        chain = " → ".join(names[key] for key in outlook.usual.path)
        sign = "≤ " if outlook.hooks.guessed else ""
        yield f"  usually over after {sign}{_time(outlook.usual_end)}: {chain}"
    seconds, path = outlook.longest
    chain = " → ".join(names[key] for key in path)
    before = outlook.hooks.before
    begins = f", after {_time(before)} of pre_shutdown" if before else ""
    yield f"  longest chain at worst {_time(seconds)}{begins}: {chain}"


def _time(seconds: float) -> str:
    return format_duration(round(seconds, 1) if seconds < 10 else round(seconds))
