"""A plan as an operator would pin it to the wall: who is asked when, how, after whom, and what comes then."""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lastcall.api.guests import GuestState, Key
from lastcall.api.naming.guest_names import GuestNames
from lastcall.formats.layout.cells import cut_middle
from lastcall.formats.layout.columns import FACT, NAME, NUMBER, REST, Cell, Row, blocks, paragraph
from lastcall.formats.layout.folding import fold_names
from lastcall.formats.layout.natural import NaturalKey, natural_key
from lastcall.formats.layout.screen import PLAIN, Screen, Tone
from lastcall.formats.quantities import format_duration
from lastcall.formats.values import value
from lastcall.ordering.nodes import Node, names_of
from lastcall.planning.history import Usual
from lastcall.planning.hook_times import ExpectedCall
from lastcall.planning.plan import PlannedGuest, Step
from lastcall.planning.worst_case import Outlook
from lastcall.report.plan_bars import plan_bars

_COLUMNS = (NUMBER, NUMBER, NAME, FACT, REST)
_IN = 2  # cells by which it is set in
_NAME_IN_PATH = 30  # cells that a name has there
_MOST_OF_PATH = 8  # guests of a chain that are named on a screen; the ones between are counted


@value
class Line:
    """A planned guest: whom it waits for, the rungs that are no use for it and why, and facts from plugins.

    `outside`: what plugins have it wait for. `sources`: settings that decide about it, and where each comes from.
    """

    planned: PlannedGuest
    after: tuple[Node, ...]
    outside: tuple[str, ...]
    unfit: Mapping[str, str]
    facts: Mapping[str, Any]
    sources: tuple[str, ...] = ()

    def waits_for(self, names: Mapping[Key, str]) -> tuple[str, ...]:
        """Whom and what it waits for, its guests by these names."""
        return (*names_of(self.after, names), *self.outside)


def as_lines(
    lines: Sequence[Line],
    names: GuestNames,
    outlook: Outlook,
    screen: Screen = PLAIN,
    *,
    forced: bool,
    whence: bool,
    shed: bool,
) -> Iterator[str]:
    """The timetable, in the order of asking. `forced`: the run takes the last resort. `whence`: with where each time
    and setting comes from. `shed`: of those alone that are shed. On a terminal it has the guests as bars besides, which
    in a pipe are for nobody.
    """
    yield from paragraph(_milestones(outlook, forced=forced), screen, _IN)
    if not lines:
        yield "  nobody is shed" if shed else "  no active guests"
        return
    ordered = sorted(lines, key=lambda line: _moment(line, outlook))
    rows: list[Row] = [[Cell(text, Tone.HEADING) for text in ("usually", "latest", "guest", "state")]]
    rows += [_row(line, names, outlook, screen, forced=forced) for line in ordered]
    times = [max(len(_text(row[column])) for row in rows if len(row) > column) for column in range(2)]
    for shown, line in zip(blocks(rows, _COLUMNS, screen, _IN), [None, *ordered], strict=True):
        yield from shown
        indent = _IN + sum(times) + 4
        if line:
            for words in (*(_whence(line, outlook) if whence else ()), *_facts(line)):
                yield from paragraph(words, screen, indent, tone=Tone.ASIDE)
    if screen.width is not None:
        yield from plan_bars([line.planned for line in ordered], names, outlook, screen, forced=forced)
    yield from (text for words in _paths(outlook, names, screen) for text in paragraph(words, screen, _IN))


def _text(cell: Cell | str) -> str:
    return cell if isinstance(cell, str) else cell.text


def _facts(line: Line) -> Iterator[str]:
    return (f"{name}: {told}" for name, told in line.facts.items())


def _milestones(outlook: Outlook, *, forced: bool) -> str:
    deadline = outlook.deadline
    if deadline.end == math.inf:
        return "no deadline"
    asked, last, end = (_time(moment) for moment in (deadline.last_ask, deadline.last_resort, deadline.end))
    return f"everybody is asked by {asked}, {'last resort' if forced else 'left running'} from {last}, over by {end}"


def _moment(line: Line, outlook: Outlook) -> tuple[float, float, NaturalKey]:
    key = line.planned.guest.key
    left_alone = math.inf if line.planned.left_because else 0.0  # last: there is nothing to wait for
    return left_alone + outlook.latest(key), outlook.usually(key), natural_key(line.planned.guest.name)


def _row(line: Line, names: GuestNames, outlook: Outlook, screen: Screen, *, forced: bool) -> Row:
    planned, key = line.planned, line.planned.guest.key
    state, name = planned.guest.state, Cell(names[key], kept=names.place(key))
    shown = Cell(state.value, None if state is GuestState.RUNNING else Tone.WARNING)
    if planned.watched is not None:
        return "", "", name, shown, Cell(_watched_text(planned.watched, key, outlook), Tone.ASIDE)
    if planned.left_because:
        return "", "", name, shown, Cell(f"left alone: {planned.left_because}", Tone.ASIDE)
    usually = _sign(key, outlook) + _time(outlook.usually(key))
    out_of_order = outlook.hooks.before + outlook.worst.starts.get(key, 0.0) > outlook.deadline.last_ask
    latest = Cell(_time(outlook.latest(key)), Tone.WARNING if out_of_order else None)
    return usually, latest, name, shown, _ladder_text(line, names, screen, forced=forced)


def _sign(key: Key, outlook: Outlook) -> str:
    """How a usual moment is to be read: later with guests before it that no run has seen, and most probably sooner with
    hook calls that none has seen, of which the whole time box counts.
    """
    first, guessed = outlook.worst.starts.get(key, 0.0) <= 0.0, outlook.hooks.guessed
    later = bool(outlook.unknown) and not first
    sooner = None in guessed or (not first and bool(guessed - outlook.unknown))
    return "~ " if later and sooner else "≥ " if later else "≤ " if sooner else ""


def _whence(line: Line, outlook: Outlook) -> Iterator[str]:
    """Where the times and settings of a guest come from."""
    key = line.planned.guest.key
    if not line.planned.left_because:
        own = outlook.own.get(key)
        yield f"goes off in {_past(own)}" if own else "goes off in: no past run"
        yield from map(call_words, outlook.hooks.guests.get(key, ()))
    yield from line.sources


def call_words(call: ExpectedCall) -> str:
    """What a hook call takes, and who says so."""
    named, limit = f"{call.hook} of {call.plugin}", f"{_time(call.limit)} ({call.set_by})"
    return f"{named}: {_past(call.usual)}; at most {limit}" if call.usual else f"{named}: {limit}; no past run"


def _past(usual: Usual) -> str:
    return f"usually {_time(usual.seconds)}, from {usual.runs} run{'' if usual.runs == 1 else 's'}"


def _ladder_text(line: Line, names: GuestNames, screen: Screen, *, forced: bool) -> str:
    planned = line.planned
    steps = [_step_text(step, line.unfit.get(step.method)) for step in planned.steps]
    end = " → ".join(step.method for step in planned.last_resort) if forced else ""
    again = "restored" if planned.restore else "not restored"
    waits = line.waits_for(names)
    after = f"; after {fold_names(waits, screen)}" if waits else ""
    return f"{' → '.join(steps) or 'not asked'}; else {end or 'left running'}; {again}{after}"


def _watched_text(patience: float, key: Key, outlook: Outlook) -> str:
    """A guest that is watched. `patience`: seconds for which it is waited for, where its neighbour stays up."""
    where = f"watched on {key[0]}"
    if not patience:
        return f"{where}: not waited for in this run"
    own = outlook.own.get(key)
    usually = f"usually off after {_time(own.seconds)}" if own else "no past run"
    return f"{where}: waited for, {usually}; {_time(patience)} at most where it stays up"


def _step_text(step: Step, unfit: str | None) -> str:
    if unfit:
        return f"{step.method} (skipped: {unfit})"
    return f"{step.method} (≤ {format_duration(step.timeout)})" if step.timeout else f"{step.method} (to the end)"


def _paths(outlook: Outlook, names: GuestNames, screen: Screen) -> Iterator[str]:
    # With a guest that no run has seen yet, the sum would be a guess that looks like a measurement.
    if outlook.usual.total and not outlook.unknown:
        sign = "≤ " if outlook.hooks.guessed else ""
        yield f"usually over after {sign}{_time(outlook.usual_end)}: {_chain(outlook.usual.path, names, screen)}"
    seconds, path = outlook.longest
    before = outlook.hooks.before
    begins = f", after {_time(before)} of pre_shutdown" if before else ""
    yield f"longest chain at worst {_time(seconds)}{begins}: {_chain(path, names, screen)}"


def _chain(path: Sequence[Key], names: GuestNames, screen: Screen) -> str:
    width = _NAME_IN_PATH if screen.cuts else sys.maxsize
    told = [cut_middle(names[key], width, names.place(key)) for key in path]
    if screen.cuts and len(told) > _MOST_OF_PATH:
        half = _MOST_OF_PATH // 2
        told[half:-half] = [f"({len(told) - 2 * half} more)"]
    return " → ".join(told)


def _time(seconds: float) -> str:
    return format_duration(round(seconds, 1) if seconds < 10 else round(seconds))
