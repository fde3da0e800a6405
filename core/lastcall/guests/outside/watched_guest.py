"""A guest of a neighbour that holds somebody of ours up: waited for, and never touched."""

from lastcall.api.guests import Ended, Guest
from lastcall.guests.stopping import Stopping
from lastcall.records.records import GuestHeld
from lastcall.threads.wakeup import Wakeup

POLL = 1.0  # seconds between two looks at what no event tells of


class WatchedGuest:
    """Waits for one until libvirt there says that it is off, or it is no use to wait any longer."""

    def __init__(self, stopping: Stopping, guest: Guest) -> None:
        self._phases, self._neighbours = stopping.phases, stopping.neighbours
        self._stream, self._sight = stopping.stream, stopping.ladder.tools.sight
        self._guest = guest
        self._began, self._patience = self._sight.loop.time(), self._neighbours.patience

    async def over(self) -> None:
        """Wait. Nobody is held up by one that stays up in a run that does not wait for such."""
        if not self._patience:
            return
        loop, status, stream = self._sight.loop, self._sight.status, self._stream
        by, until = "its own host", min(loop.time() + self._patience, self._phases.last_ask.at)
        stream.emit(GuestHeld(at=stream.now(), guest=self._guest.key, by=by, until=stream.by(until)))
        self._began, era, wakeup = loop.time(), status.era(self._guest.uri), Wakeup(loop)
        with status.watch(self._guest.key, wakeup.ring), self._phases.last_ask.watch(wakeup.ring):
            while not (self.is_off or self._is_in_vain) and loop.time() < (until := self._until):
                await wakeup.wait(min(until, loop.time() + POLL))
                if status.era(self._guest.uri) != era:  # what happened while the connection was dead, no event told
                    era = status.era(self._guest.uri)
                    await self._sight.look_again(self._guest, min(loop.time() + POLL, self._phases.last_ask.at))

    @property
    def is_off(self) -> bool:
        """Whether libvirt there has said so."""
        return self._sight.status.ended(self._guest.key) is not None

    @property
    def waited_out(self) -> bool:
        """Whether it was waited for as long as anybody waits for one that stays up."""
        return 0 < self._patience <= self._sight.loop.time() - self._began

    @property
    def verdict(self) -> str:
        """What is said of it, whenever the wait is over."""
        if not self._patience:
            return f"goes on; a run for {self._phases.terms.reason.value} does not wait for it"
        waited = self._sight.loop.time() - self._began
        if self.is_off:
            moved = self._sight.status.ended(self._guest.key) is Ended.MIGRATED
            return f"waited for, {'moved away' if moved else 'off'} after {waited:.1f} s"
        lost = self._sight.status.lost(self._guest.uri)
        why = f"its connection is lost ({lost})" if lost else "still running"
        return f"waited for {waited:.1f} s, and {why}"

    @property
    def _is_in_vain(self) -> bool:
        gone = self._sight.status.lost(self._guest.uri) is not None
        return gone or self._phases.last_ask.passed or self._phases.asks_no_more

    @property
    def _until(self) -> float:
        """One that goes down is waited for as long as its guests go off one after the other."""
        return max(self._began, self._neighbours.quiet_since(self._guest.uri)) + self._patience
