"""Standard output and error as a run writes to them: whoever does not read them, or is gone, holds up nothing."""

import errno
import math
import os
import select
import stat
import sys
from collections.abc import Callable, Iterator

from lastcall.errors import Problem
from lastcall.formats.secret_text import masked
from lastcall.formats.visible_text import page
from lastcall.threads import standard_output
from lastcall.threads.outbox import BATCH, Outbox
from lastcall.threads.standard_output import ERROR, OUTPUT

LAST_WORDS = 5.0  # seconds for the last lines to somebody who reads slowly
STILL = 1.0  # seconds without a move after which nobody reads any more
ROOM = 4096  # lines that wait; a reader who is there never lets so many come together
_CHUNK = 4096  # bytes at once, which a pipe takes as one
_PIECE = 4 * _CHUNK  # characters


class Outlet:
    """Texts to a descriptor, by a thread of its own; past Python's own file, of whose lock a blocked plugin may be the
    holder. Where more than `room` lines wait the oldest are dropped, and the reader is told how many.
    """

    def __init__(self, descriptor: int, *, room: float = ROOM) -> None:
        self._descriptor, self._is_output = descriptor, descriptor == OUTPUT
        if self._is_output:
            self._descriptor = standard_output.descriptor()
        self._counts = room < math.inf
        self._lines = Outbox(self._deliver, "lastcall-outlet", room=room, batch=BATCH if self._counts else 1)

    def write(self, text: str) -> None:
        """Have a text written, soon; where lines are counted, one of whole lines."""
        # Where none is dropped nobody counts them: the report of 5000 guests has 350 000, with fifty bytes around each.
        self._lines.put(*(text.splitlines(keepends=True) if self._counts else _pieces(text)))

    def close(self, seconds: float, *, still: float = STILL, stop: Callable[[], bool] = bool) -> bool:
        """Give the last lines some time; see `Outbox.close`. Returns whether they were written, or nobody is left to
        read them: a terminal that went away costs nothing.
        """
        return self._lines.close(seconds, still=still, stop=stop) or self._is_left_alone()

    def _is_left_alone(self) -> bool:
        error = self._lines.error
        # Not isatty(3), which says of a terminal that went away that it never was one.
        device = stat.S_ISCHR(os.fstat(self._descriptor).st_mode)
        return device and isinstance(error, OSError) and error.errno == errno.EIO

    def _deliver(self, lines: list[str], dropped: int) -> None:
        file = sys.stdout if self._is_output else sys.stderr
        if self._is_output:
            file.flush()  # what the command has printed comes first
        data = (dropped_line(dropped) + "".join(lines)).encode(file.encoding, "backslashreplace")
        while data:
            try:
                data = data[os.write(self._descriptor, _whole_lines(data)) :]
            except BlockingIOError:  # whoever started us may have left it like that
                select.select([], [self._descriptor], [])


def dropped_line(count: int) -> str:
    """What stands in the place of so many lines that nobody has read in time, if any."""
    return f"({count} lines were dropped here: nobody read them in time)\n" if count else ""


def _whole_lines(data: bytes) -> bytes:
    """What is written at once: to its last line end, as somebody else may write to the same terminal in between."""
    end = data.rfind(b"\n", 0, _CHUNK) + 1
    return data[: end or _CHUNK]


def _pieces(text: str) -> Iterator[str]:
    """A text in pieces of whole lines, each of which whoever reads takes in a moment."""
    at = 0
    while at < len(text):
        end = text.rfind("\n", at, at + _PIECE) + 1 or at + _PIECE
        yield text[at:end]
        at = end


def say(*lines: str) -> None:
    """Say something on standard error, in bounded time; for what is not part of a run's progress."""
    outlet = Outlet(ERROR, room=math.inf)
    outlet.write(f"{page(lines)}\n")
    outlet.close(LAST_WORDS)


def say_problem(problem: Problem) -> None:
    """Say what is wrong, where, and what helps, on standard error."""
    remedy = [f"  → {problem.remedy}"] if problem.remedy else []
    say(f"{problem.where}: {masked(problem.message)}", *remedy)
