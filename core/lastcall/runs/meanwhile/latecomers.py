"""Who has to be seen off besides those that the run began with: started meanwhile, found late, or left by hand."""

from collections import Counter
from collections.abc import Container, Mapping

from lastcall.api.guests import Guest, GuestState, Key, Outcome, Reason
from lastcall.errors import Severity
from lastcall.guests.stop_guest import GuestStop
from lastcall.presence.connections import Connections
from lastcall.presence.sight import Sight
from lastcall.records.stream import Stream
from lastcall.timing.phases import Phases

RETURNS = 3  # how often a voluntary run stops one guest that somebody starts again and again


class Latecomers:
    """Finds them. `stops` and `under_way` are the run's, and go on changing. `named`: it is about those alone."""

    def __init__(
        self,
        connections: Connections,
        sight: Sight,
        stream: Stream,
        phases: Phases,
        stops: Mapping[Key, GuestStop],
        under_way: Container[Key],
        *,
        named: bool,
    ) -> None:
        self._connections, self._sight, self._stream, self._phases = connections, sight, stream, phases
        self._stops, self._under_way = stops, under_way
        self.named = named
        self._widened, self._why = False, "the host stops"
        self._again: set[Key] = set()
        self._times: Counter[Key] = Counter()

    def host_stops(self) -> None:
        """What a run by hand was asked for counts no more: everybody is to be seen off, also whom it has left."""
        # A run for one guest by name ended with that guest, and the others met the end of the host unasked. One that
        # had outlasted its own timeout was left there, and cut off with the host.
        self._widened, self.named, self._why = self.named, False, "the host stops"
        self._again |= {key for key, stop in self._stops.items() if self._runs_on(key) or stop.leaves}

    def power_goes(self) -> None:
        """The mains are gone again: whom the run has left as they were back is to be seen off after all."""
        self._why = "the mains are gone again"
        again = {key for key, stop in self._stops.items() if self._runs_on(key) and (stop.watches or not stop.leaves)}
        self._again |= {key for key in again if not self._stops[key].waits_no_more}

    def ask_anew(self, key: Key) -> None:
        """See a guest off once more, whose stop was cut short by what does not hold any more."""
        self._again.add(key)

    @property
    def voluntary(self) -> bool:
        """Whether nothing forces the run."""
        return self._phases.voluntary

    def seeks(self, uri: str) -> bool:
        """Whether guests of a connection that the run does not know are its business."""
        return not self.named and uri not in self._connections.neighbours.uris

    def has_to_go(self, stop: GuestStop) -> bool:
        """Whether a guest of which it is decided what became is to be seen off all the same, or was started since."""
        return stop.guest.key in self._again or self._was_started_since(stop)

    def catch_up(self, uri: str) -> None:
        """A connection lives again: of whom nothing was known there may be asked now."""
        if not self._phases.voluntary:
            over = {key for key in self._stops if key[0] == uri and self._runs_on(key)}
            self._again |= {key for key in over if self._stream.story.result(key).outcome is Outcome.UNKNOWN}

    def count(self, key: Key) -> None:
        """Note that a guest is going to be seen off (once more)."""
        self._times[key] += 1
        self._again.discard(key)

    async def find(self, only: Container[str] | None) -> list[Guest]:
        """The guests that came up, or came back, since the list was made; `only` those of these connections."""
        # libvirt-guests lists its guests once. One that a cluster or a person starts after that is never asked.
        active = await self._connections.active(patient=False, only=only)
        late = [guest for guest in active if await self._is_late(guest)]
        for guest in late:
            self._sight.status.forget(guest.key)
        return late

    def tell(self, guest: Guest) -> None:
        """Say in the report why a guest is stopped, too."""
        if not self._times[guest.key] and self._connections.came_late(guest.uri):
            return  # said of its connection: it may have run all the time
        again = "started again after it was off" if self._times[guest.key] else "started while the run goes on"
        host = guest.key in self._again or (self._widened and not self._times[guest.key])
        message = f"{self._why if host else again}; it is stopped, too"
        self._stream.problem("guest", guest.name, message, severity=Severity.WARNING)

    async def _is_late(self, guest: Guest) -> bool:
        """Whether an active guest has yet to be seen off."""
        if guest.key in self._under_way or (guest.key not in self._stops and self.named):
            return False
        if guest.key not in self._stops or guest.key in self._again:
            return True
        status = self._sight.status
        if status.ended(guest.key):  # the list may be older than the event
            status.forget(guest.key)
            if await self._sight.look_again(guest) in {GuestState.OFF, GuestState.UNKNOWN}:
                return False
        # One that went off after it was left, and was started again, was off, too; its verdict does not say so yet.
        started = self._was_started_since(self._stops[guest.key])
        was_off = started or self._stream.story.result(guest.key).ended is not None
        if self._phases.terms.reason is Reason.SHED:
            return False  # whoever starts it while a battery carries the host wants it to run just now
        # The host takes the power from it in any case; by hand, who starts it again and again seems to mean it.
        return was_off and (not self._phases.voluntary or self._times[guest.key] < RETURNS)

    def _was_started_since(self, stop: GuestStop) -> bool:
        return self._sight.status.starts(stop.guest.key) > stop.starts

    def _runs_on(self, key: Key) -> bool:
        """Whether it is decided what became of it, and it is not off."""
        # Also where plugins are still told of that: whom a run by hand had left a moment before a host stop joined it
        # ran on, unasked, for a hook that took its time.
        decided = self._stream.story.decided(key)
        return decided and self._sight.status.ended(key) is None and self._stream.story.result(key).ended is None
