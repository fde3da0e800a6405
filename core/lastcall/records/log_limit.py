"""How long a run log gets: so many bytes of everything, then only what a report is made of."""

import json

from lastcall.errors import Problem, Severity
from lastcall.formats.quantities import format_size
from lastcall.records.records import GuestHeld, GuestWentOff, HookBegun, HookSaid, Record, Sink

LOG_SIZE = 16 << 20  # bytes; a thousand guests with some hooks need a quarter of it
_USUAL = 400  # bytes of a record; to weigh each of them would cost the loop more than it is worth


class LogLimit:
    """A sink in front of a run log, which it lets have no more than `size` bytes of what no report needs."""

    def __init__(self, log: Sink, size: int = LOG_SIZE) -> None:
        self._log, self._size = log, min(size, LOG_SIZE)
        self._written, self._full = 0, False

    def take(self, record: Record) -> Problem | None:
        """Pass the record on, or leave it out; the first that is left out is a problem of the run, told in its log."""
        if isinstance(record, HookBegun | HookSaid | GuestHeld | GuestWentOff):
            if self._full:
                return None
            if self._written >= self._size:
                self._full = True
                return _told(self._size, record.at)
        self._written += _USUAL
        if isinstance(record, HookSaid):
            self._written += len(json.dumps(record.line))
        return self._log(record)


def _told(size: int, at: float) -> Problem:
    return Problem(
        what="run log",
        where="this run",
        message=f"it is longer than {format_size(size)}: from {at:.1f} s on what plugins say is left out of it",
        remedy="its last lines tell who says so much",
        severity=Severity.WARNING,
    )
