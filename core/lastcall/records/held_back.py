"""A log that begins only once there is something to tell: of a run in which nothing happens nothing is kept."""

from lastcall.errors import Problem
from lastcall.records.records import GuestPlanned, HookBegun, ProblemFound, Record, Sink


class HeldBack:
    """Hands records on to a sink, all of them, from the first on that is about a guest, a plugin or a problem."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._held: list[Record] | None = []

    def take(self, record: Record) -> Problem | None:
        """Hold a record back, or hand it on after those before it."""
        if self._held is None:
            return self._sink(record)
        self._held.append(record)
        if not isinstance(record, GuestPlanned | HookBegun | ProblemFound):
            return None
        held, self._held = self._held, None
        found = [self._sink(one) for one in held]
        return next((problem for problem in found if problem), None)
