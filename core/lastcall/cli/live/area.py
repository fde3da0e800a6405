"""The lines of the live view: who moves, how many are done, the time as a bar, and what Ctrl-C does."""

import math
from functools import lru_cache

from lastcall.api.guests import RunKind
from lastcall.cli.live.cells import cells_of, cut, cut_in_the_middle, filled
from lastcall.cli.live.interruption import ctrl_c_line
from lastcall.cli.live.paint import FAINT, GREEN, RED, YELLOW, Paint
from lastcall.cli.live.watched_run import Move, WatchedRun
from lastcall.formats.quantities import format_duration

SOON = 10.0  # seconds: what is over by then stands out
_NARROWEST = 10  # cells of a bar, and of what a guest does; with less there is none, or it alone
_SINCE, _LEFT = 8, 13  # cells of two columns: 59min59s, 1h59min left
_KEPT = 1024  # texts that are laid out already: from one drawing to the next hardly more changes than the time


class Area:
    """Lays a run out for a terminal. `forces`: also by hand, a guest that does not stop meets the last resort.

    `heeds`: Ctrl-C is heeded, and not ignored as under nohup.
    """

    def __init__(self, paint: Paint, *, forces: bool = False, heeds: bool = True) -> None:
        self._paint, self._forces, self._heeds = paint, forces, heeds
        self._name = lru_cache(_KEPT)(self._shown_name)
        self._what = lru_cache(_KEPT)(self._laid_out)

    def lines(self, run: WatchedRun, now: float, width: int, height: int) -> list[str]:
        """The lines at this moment, at most so many, each of at most so many cells."""
        below = [
            (self._counts(run), None),
            (self._time(run, now, width), None),
            (self._moments(run, now), None),
            (ctrl_c_line(run, now) if self._heeds else "", FAINT),
        ]
        # In these lines are words and signs of ours alone, which take a cell each.
        fits = [(text if len(text) <= width else cut(text, width, self._paint.dots), colour) for text, colour in below]
        kept = [self._paint.in_colour(text, colour) for text, colour in fits if text]
        kept[1] = self._coloured_bar(run, now, kept[1])
        room = height - len(kept)
        return [*self._moves(run, now, width, room), *kept] if room > 0 else kept[-height:]

    def _moves(self, run: WatchedRun, now: float, width: int, room: int) -> list[str]:
        moves = run.moves()
        shown = moves if len(moves) <= room else moves[: room - 1]
        widest = min(max((self._name(one.name)[1] for one in shown), default=0), width // 3)
        rows = [self._row(run, one, widest, now, width) for one in shown]
        more = len(moves) - len(shown)
        return [*rows, *([cut(f"  {self._paint.dots} and {more} more", width, self._paint.dots)] if more else [])]

    def _row(self, run: WatchedRun, move: Move, widest: int, now: float, width: int) -> str:
        room = width - 2 - widest - 2 - _SINCE - 2 - _LEFT
        what = self._what(move.name, move.place, move.doing, widest, room, width)
        if room < _NARROWEST:
            return what
        until = run.until(move)
        left = "" if until == math.inf else f"{_duration(math.ceil(max(0.0, until - now)))} left"
        since = _duration(math.floor(max(0.0, now - move.since)))
        colour = RED if move.last_resort else YELLOW if until - now < SOON else None
        return f"{what}{since:>{_SINCE}}  {self._paint.in_colour(f'{left:>{_LEFT}}', colour)}"

    def _laid_out(self, name: str, place: str, doing: str, widest: int, room: int, width: int) -> str:
        """Who does what, up to the two columns with times, for which there may be no room."""
        dots, doing = self._paint.dots, self._paint.text(doing)
        name = filled(cut_in_the_middle(self._name(name)[0], widest, dots, self._paint.text(place)), widest)
        if room < _NARROWEST:
            return cut(f"  {name}  {doing}", width, dots)
        return f"  {name}  {filled(cut(doing, room, dots), room)}"

    def _shown_name(self, name: str) -> tuple[str, int]:
        """A name as it can be shown, and how many cells it takes."""
        text = self._paint.text(name)
        return text, cells_of(text)

    def _counts(self, run: WatchedRun) -> str:
        outcomes = ", ".join(f"{count} {outcome.value}" for outcome, count in run.outcomes.items())
        done = f"{run.kind.value}: {sum(run.outcomes.values())} of {run.count} done"
        parts = [f"{done} ({outcomes})" if outcomes else done]
        parts += [f"{run.moving} moving"] if run.moving else []
        parts += [f"{run.waiting} to come"] if run.waiting else []
        return self._paint.between.join(parts)

    def _time(self, run: WatchedRun, now: float, width: int) -> str:
        elapsed = _duration(math.floor(now))
        if run.deadline is None:
            return f"{elapsed}, and as long as it takes"
        told = f" {elapsed} of {format_duration(run.deadline)}"
        room = width - cells_of(told)
        return self._bar(run, now, room) + told if room >= _NARROWEST else told.strip()

    def _bar(self, run: WatchedRun, now: float, cells: int) -> str:
        each = (run.deadline or 1.0) / cells
        gone = min(cells, int(now / each))
        bar = self._paint.past * gone + self._paint.ahead * (cells - gone)
        for at in (run.last_ask, run.last_resort):
            if at is not None:
                mark = min(cells - 1, int(at / each))
                bar = bar[:mark] + self._paint.mark + bar[mark + 1 :]
        return bar

    def _coloured_bar(self, run: WatchedRun, now: float, line: str) -> str:
        bar = line[: max(0, line.find(" "))]
        if run.deadline is None or not bar or bar[0].isdigit():
            return line
        asks, forces = (math.inf if at is None else at for at in (run.last_ask, run.last_resort))
        colour = RED if now >= forces else YELLOW if now >= asks or now > run.deadline - SOON else GREEN
        return self._paint.in_colour(bar, colour) + line[len(bar) :]

    def _moments(self, run: WatchedRun, now: float) -> str:
        if run.kind is RunKind.RESTORE or run.deadline is None or run.is_closing:
            return ""
        forces = self._forces or not run.reason.voluntary
        asks = not (run.reason.voluntary and run.interrupted)
        parts: tuple[tuple[float | None, str], ...] = (
            (run.last_ask if asks else None, "everybody is asked in"),
            (run.last_resort, "last resort in" if forces else "who still runs is left in"),
        )
        coming = [f"{what} {_duration(math.ceil(at - now))}" for at, what in parts if at is not None and at > now]
        return self._paint.between.join(coming) or ("the last resort is taken" if forces else "")


@lru_cache(_KEPT)
def _duration(seconds: int) -> str:
    return format_duration(float(seconds - seconds % 60 if seconds >= 3600 else seconds))
