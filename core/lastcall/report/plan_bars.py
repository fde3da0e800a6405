"""A plan as bars against its deadline: how long each guest waits, has its hooks, goes off, and may take at most."""

import math
from collections.abc import Iterator, Sequence

from lastcall.api.guests import Key
from lastcall.api.naming.guest_names import GuestNames
from lastcall.formats.layout.columns import Cell, Column, Fit, Row, in_columns, paragraph
from lastcall.formats.layout.screen import Screen, Tone
from lastcall.formats.quantities import format_duration
from lastcall.formats.values import value
from lastcall.planning.plan import PlannedGuest
from lastcall.planning.worst_case import Outlook

_WAITS, _HOOKS, _GOES, _AT_MOST, _LIMIT, _NOTHING = "·", "▒", "█", "░", "│", " "
_PATH = "◆"
_IN = 2  # cells by which it is set in
_COLUMNS = (Column(gap=1), Column(fit=Fit.NAME), Column())
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400)
_TICK = 12  # cells that a time of the axis takes at least


@value
class _Scale:
    """Seconds in cells: `span` seconds are `width` cells wide."""

    span: float
    width: int

    def cell(self, seconds: float) -> int:
        return max(0, min(self.width - 1, int(seconds / self.span * self.width)))

    def fill(self, bar: list[str], sign: str, start: float, end: float) -> None:
        """Draw what goes on from when to when: a cell at least, as long as it goes on at all."""
        if end > start:
            first = self.cell(start)
            for place in range(first, max(first + 1, math.ceil(min(end, self.span) / self.span * self.width))):
                bar[place] = sign


def plan_bars(
    guests: Sequence[PlannedGuest], names: GuestNames, outlook: Outlook, screen: Screen, *, forced: bool
) -> Iterator[str]:
    """A line for each guest in this order, under an axis; below them what the signs mean."""
    stopped = [planned for planned in guests if not planned.left_because]
    ends = outlook.deadline.end
    span = ends if ends < math.inf else max(outlook.worst_end, outlook.usual_end)
    if not stopped or not span:
        return
    scale = _Scale(span, max(20, (screen.width or 0) * 3 // 5))
    path = set(outlook.usual.path if not outlook.unknown else outlook.longest[1])
    rows: list[Row] = [("", "", Cell(_axis(scale), Tone.ASIDE))]
    rows += [_row(names, planned.guest.key, outlook, scale, path) for planned in stopped]
    yield from in_columns(rows, _COLUMNS, screen, _IN)
    limit = f"{_LIMIT} {'last resort' if forced else 'left running'}, " if ends < math.inf else ""
    legend = f"{_WAITS} waits, {_HOOKS} hooks, {_GOES} goes off, usually, {_AT_MOST} as long as it may take, {limit}"
    yield from paragraph(f"{legend}{_PATH} critical path", screen, _IN, tone=Tone.ASIDE)


def _row(names: GuestNames, key: Key, outlook: Outlook, scale: _Scale, path: set[Key]) -> Row:
    critical = key in path
    return (
        Cell(_PATH if critical else "", Tone.HEADING),
        Cell(names[key], kept=names.place(key)),
        Cell(_bar(key, outlook, scale), Tone.HEADING if critical else None),
    )


def _bar(key: Key, outlook: Outlook, scale: _Scale) -> str:
    bar = [_NOTHING] * scale.width
    last, usually, latest = outlook.deadline.last_resort, outlook.usually(key), outlook.latest(key)
    longest = outlook.worst.ends.get(key, 0.0) - outlook.worst.starts.get(key, 0.0)
    until = last if key in outlook.endless and last < math.inf else min(last, latest + longest)
    begins = latest if key in outlook.unknown else usually
    scale.fill(bar, _WAITS, 0.0, begins)
    scale.fill(bar, _AT_MOST, begins, until)
    if key not in outlook.unknown:
        hooks = outlook.hooks.expected_of(key)
        scale.fill(bar, _GOES, usually + hooks, usually + hooks + max(outlook.own[key].seconds, 1e-3))
        scale.fill(bar, _HOOKS, usually, usually + hooks)
    if last < math.inf:
        bar[scale.cell(last)] = _LIMIT
    return "".join(bar).rstrip()


def _axis(scale: _Scale) -> str:
    step = next((one for one in _STEPS if scale.span / one * _TICK <= scale.width), scale.span)
    axis, number = "", 0
    while number * step < scale.span:
        place, words = scale.cell(number * step), format_duration(round(number * step, 1))
        if place + len(words) <= scale.width:
            axis = axis.ljust(place) + words
        number += 1
    return axis
