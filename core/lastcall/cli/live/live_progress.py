"""Progress on a terminal: an area of a few lines that is drawn anew, and above it the lines that stay."""

import sys
import time
from collections.abc import Callable, Sequence

from lastcall.cli.last_words import TimeForLastWords
from lastcall.cli.live.area import Area
from lastcall.cli.live.paint import Paint
from lastcall.cli.live.terminal import Terminal, heeds_ctrl_c
from lastcall.cli.live.told_lines import ToldLines
from lastcall.cli.live.watched_run import WatchedRun
from lastcall.cli.outlet import LAST_WORDS, ROOM, STILL, dropped_line
from lastcall.records.records import Record, RunEnded, RunStarted
from lastcall.threads.outbox import Outbox

# Seconds between two drawings, as times are shown in seconds; after a second without news it is drawn at once. To draw
# takes hardly more than to wake up for it: twice a second cost a run of a hundred guests 3 % of its processor time.
TICK = 1.0
# The cursor stays on an empty line above the area, and is never hidden. What others print or type there costs nothing
# that would not be mended a second later, and no end of the program, SIGKILL's neither, leaves anything to be restored.
_ERASE = "\r\033[J"
_UNWRAPPED, _WRAPPED = "\033[?7l", "\033[?7h"  # a line that takes more cells than was thought is cut, and not two


class LiveProgress:
    """A sink (`take`) that draws by a thread of its own; the run waits for it only as it ends, and not for long."""

    def __init__(
        self,
        terminal: Terminal,
        *,
        verbose: bool = False,
        forces: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._terminal = terminal
        self._area = Area(Paint.of(terminal.encoding), forces=forces, heeds=heeds_ctrl_c())
        self._run, self._told = WatchedRun(), ToldLines(verbose=verbose)
        self._lines: list[str] = []  # that have to be written yet
        self._dropped = 0
        self._drawn = ""  # what stands below the cursor
        self._clock = clock
        self._started = clock()
        self._time = TimeForLastWords()
        self._closed = self._given_up = self._is_over = False
        self._records = Outbox[Record](self.deliver, "lastcall-live", pause=TICK, batch=sys.maxsize, idle=TICK)

    def take(self, record: Record) -> None:
        """Learn from a record, soon; after the last one what has to be written yet gets a moment."""
        if isinstance(record, RunStarted):
            self._started = self._clock() - record.at
        self._records.put(record)
        seconds = self._time.take(record)
        if seconds is not None:
            self._close(seconds)

    def close(self) -> None:
        """Remove the area, also where the run has come to no end."""
        if not self._closed:
            self._records.put(RunEnded(at=self._clock() - self._started, exit_code=0))
            self._close(LAST_WORDS)

    def _close(self, seconds: float) -> None:
        self._closed = True
        self._given_up = not self._records.close(seconds, still=STILL)

    def deliver(self, records: Sequence[Record], _dropped: int) -> None:
        """Learn from these, and draw what has changed; on the thread that draws."""
        for record in records:
            line = self._told.line(record)
            self._lines += line.splitlines() if line else []
            self._is_over |= isinstance(record, RunEnded)
            self._watch(record)
        if len(self._lines) > ROOM:
            self._dropped += len(self._lines) - ROOM
            del self._lines[:-ROOM]
        if self._is_over or not self._terminal.is_taken():
            self._draw()

    def _watch(self, record: Record) -> None:
        try:
            self._run.take(record)
        except Exception:  # noqa: BLE001  a mistake of ours costs the area, and not the lines
            self._run.is_seen = False

    def _draw(self) -> None:
        if self._given_up:
            return
        area = "" if self._is_over or not self._run.is_seen else self._frame(*self._terminal.size())
        lines = "".join(f"{line}\n" for line in self._lines)
        head = dropped_line(self._dropped)
        self._lines, self._dropped = [], 0
        if area != self._drawn or lines:
            self._drawn = area
            self._terminal.write(f"{_ERASE}{head}{lines}{area}")
            if self._given_up:  # it was not read for so long that the program went on without us
                self._terminal.write(_ERASE)

    def _frame(self, width: int, height: int) -> str:
        # In the last cell of a line a terminal waits with the cursor where it is; one line more is the empty one.
        rows = self._area.lines(self._run, self._clock() - self._started, width - 1, height - 2)
        text = "".join(f"\n{row}" for row in rows)
        return f"{_UNWRAPPED}{text}{_WRAPPED}\033[{len(rows)}A\r"
