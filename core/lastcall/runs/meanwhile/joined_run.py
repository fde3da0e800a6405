"""The run that a host stop has joined, as the host stop waits for it: by the end that it has by now."""

from lastcall.formats.values import value
from lastcall.persistence.mailbox import Answer
from lastcall.runs.meanwhile.holder import Holder


@value
class Inherited:
    """What a host stop gets with the lock. `answer`: that of a run which became it, and came to its end by itself;
    `ends`: when the host stop has to be over by all that is known by now (monotonic clock)."""

    answer: Answer | None
    ends: float


class JoinedRun:
    """Moments are on the monotonic clock. `joined_end`: the end that the run had as it was joined; `own_end`: that of
    the host stop, which has `room` (seconds) before it to do itself what the run leaves.
    """

    def __init__(self, holder: Holder, joined_end: float | None, own_end: float, room: float) -> None:
        self.holder = holder
        self.own_end = own_end
        self._end: float | None = joined_end
        self._room = room

    @property
    def patience(self) -> float:
        """Until when it is waited for."""
        return self.own_end - self._room

    def heed(self, end: float | None) -> None:
        """Learn its end as it is now. Only another one counts: a run by hand may have less time than the host."""
        if end is not None and end != self._end:
            # A longer announcement, one that was taken back, mains that are back, or a battery with less in it.
            self._end = self.own_end = end
