"""Which lines of a run stay on the screen above the live view: what it does not show, and what was not as planned."""

from typing import TYPE_CHECKING

from lastcall.api.results import Verdict
from lastcall.records.records import (
    AttemptEnded,
    GuestAsked,
    GuestEnded,
    GuestHeld,
    HookBegun,
    Record,
)
from lastcall.records.report_builder import is_planned_end
from lastcall.report.narrator import Narrator

if TYPE_CHECKING:
    from lastcall.api.guests import Key, Outcome


class ToldLines:
    """Turns records into lines, as `Progress` does, and leaves out those that the live view shows in its own way."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose
        self._narrator = Narrator(verbose=verbose, traces=verbose)
        self._first: dict[Key, Verdict | Outcome] = {}
        self._asked: set[Key] = set()

    def line(self, record: Record) -> str | None:
        """The record's line, with its time, if it is to stay."""
        if isinstance(record, AttemptEnded):
            self._take_attempt(record)
        if not self._verbose and not self._stays(record):
            return None
        line = self._narrator.line(record)
        return line and f"{record.at:8.2f}s  {line}"

    def _stays(self, record: Record) -> bool:
        match record:
            case GuestAsked() | GuestHeld() | HookBegun():
                return False
            case GuestEnded():
                key = record.guest
                return not is_planned_end(record.outcome, self._first.get(key), asked=key in self._asked)
            case _:  # of a guest that is planned, the name is all that the narrator wants
                return True

    def _take_attempt(self, record: AttemptEnded) -> None:
        if record.attempt.result != Verdict.OK:
            self._first.setdefault(record.guest, record.attempt.result)
        if record.heard is not None and record.asks:
            self._asked.add(record.guest)
