"""How long a run log gets: so many bytes of everything, then only what a report is made of."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from lastcall.errors import Problem, Severity
from lastcall.formats.quantities import format_size
from lastcall.records.records import (
    AttemptEnded,
    GuestBegun,
    GuestEnded,
    GuestHeld,
    GuestPlanned,
    GuestWentOff,
    HookBegun,
    HookEnded,
    HookSaid,
    ProblemFound,
    Record,
    Sink,
)

LOG_SIZE = 16 << 20  # bytes; a thousand guests with some hooks need a quarter of it
_USUAL = 400  # bytes of a record without what others say in it
_QUOTED = 4  # bytes around a value: quotes, colon or comma, and a digit or two


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
        if self._written >= self._size:
            record = _without_traceback(record)  # a report tells where it was all the same
        self._written += _weight(record)
        return self._log(record)


def _without_traceback(record: Record) -> Record:
    if isinstance(record, HookEnded) and record.record.traceback:
        return replace(record, record=replace(record.record, traceback=""))
    if isinstance(record, AttemptEnded) and record.attempt.traceback:
        return replace(record, attempt=replace(record.attempt, traceback=""))
    return record


def _weight(record: Record) -> int:
    """About how many bytes of the log a record takes, and never much less: its form, and all that others say in it."""
    match record:
        case HookSaid():
            return _USUAL + _bytes(record.line)
        case HookEnded():
            call = record.record
            return _USUAL + sum(map(_bytes, (call.message, call.where, call.traceback))) + _collection(call.evidence)
        case AttemptEnded():
            attempt = record.attempt
            return _USUAL + sum(map(_bytes, (attempt.message, attempt.where, attempt.traceback)))
        case GuestEnded():
            return _USUAL + _bytes(record.message)
        case GuestPlanned():
            return _USUAL + _bytes(record.guest.name)
        case GuestBegun():
            return _USUAL + sum(map(_bytes, record.waited_for))
        case ProblemFound():
            found = record.problem
            return _USUAL + sum(map(_bytes, (found.what, found.where, found.message, found.remedy)))
        case _:
            return _USUAL


def _bytes(text: str) -> int:
    if not text:
        return _QUOTED
    # Most texts are plain: then nothing has to be written out to know how long it would be.
    if text.isascii() and text.isprintable():
        return len(text) + text.count("\\") + text.count('"') + _QUOTED
    return len(json.dumps(text)) + _QUOTED


def _collection(value: Any) -> int:
    """What evidence takes, which is plain and in bounds by now."""
    if isinstance(value, str):
        return _bytes(value)
    if isinstance(value, Mapping):
        named = cast("Mapping[str, Any]", value).items()
        return _QUOTED + sum(_bytes(name) + _collection(one) for name, one in named)
    if isinstance(value, list):
        return _QUOTED + sum(map(_collection, cast("list[Any]", value)))
    return len(str(value)) + _QUOTED


def _told(size: int, at: float) -> Problem:
    return Problem(
        what="run log",
        where="this run",
        message=f"it is longer than {format_size(size)}: from {at:.1f} s on what plugins say is left out of it",
        remedy="its last lines tell who says so much",
        severity=Severity.WARNING,
    )
