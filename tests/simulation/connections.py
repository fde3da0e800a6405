"""Connections to daemons that die, hang and come back, and the events that they bring late, twice or never."""

import asyncio
import math
from collections.abc import Callable, Sequence

from lastcall.errors import ConnectionLost, HypervisorError
from lastcall.hypervisor.ports import (
    Connected,
    ConnectionClosed,
    ConnectionGivenUp,
    ConnectionRestored,
    HypervisorEvent,
    Target,
)
from lastcall.testing.memory import FakeHypervisor
from simulation.guest import SimulatedGuest
from simulation.world import World

QUERY_TIMEOUT = 10.0  # seconds, that of the real one
PATIENCE = 5.0  # seconds in which a patient target is tried again
RETRY = 0.5  # seconds between two tries
_INSTANT = 1e-6  # seconds; what is left of less, by rounding, a clock that counts them never comes to the end of


class SimulatedConnections(FakeHypervisor):
    """The part of a hypervisor that is on the wire. `closures`: when each connection did not answer (since, until)."""

    def __init__(
        self,
        world: World,
        guests: Sequence[SimulatedGuest],
        loop: asyncio.AbstractEventLoop,
        note: Callable[[str], None],
    ) -> None:
        super().__init__(guests, loop)
        self.note = note
        self._lines = {line.uri: line for line in world.lines}
        self._reconnect = {line.uri: line.reconnect for line in world.lines}
        self._hangs_until: dict[str, float] = {}
        self._given_up: dict[str, float] = {}  # since when; whatever its daemon does, a run has to open it anew
        self.closures: dict[str, list[tuple[float, float]]] = {line.uri: [] for line in world.lines}

    async def connect(self, targets: Sequence[Target], listener: Callable[[HypervisorEvent], None]) -> list[Connected]:
        """Connect at once where the daemon lives; a patient target is tried for a while."""
        self._listener = listener
        return list(await asyncio.gather(*(self._connect(target) for target in targets)))

    async def _connect(self, target: Target) -> Connected:
        until = self.loop.time() + (min(PATIENCE, target.timeout) if target.patient else 0.0)
        self._reconnect[target.uri] = target.reconnect
        while target.uri in self._dead and self.loop.time() < until:
            await asyncio.sleep(RETRY)
        if target.uri in self._dead or self.hangs_for(target.uri) > target.timeout:
            return Connected(target, error=HypervisorError(f"cannot connect to {target.uri}"))
        await asyncio.sleep(self.hangs_for(target.uri))
        self._open_anew(target.uri)
        return Connected(target, uri=target.uri, host=target.uri)

    def _open_anew(self, uri: str) -> None:
        since = self._given_up.pop(uri, None)
        if since is not None:
            self.closures[uri].remove((since, math.inf))
            self.closures[uri].append((since, self.loop.time()))

    def require(self, uri: str) -> None:
        """Raises ConnectionLost where nobody is connected."""
        super().require(uri)
        if uri in self._given_up:
            raise ConnectionLost(f"not connected to {uri}")

    async def reach(self, uri: str) -> None:
        """Wait as long as an answer takes. Raises ConnectionLost, or TimeoutError."""
        self.require(uri)
        seconds = self._lines[uri].latency + self.hangs_for(uri)
        if seconds:
            await asyncio.sleep(min(QUERY_TIMEOUT, seconds))
        if seconds > QUERY_TIMEOUT:
            raise TimeoutError
        self.require(uri)

    def deliver(self, guest: SimulatedGuest, event: HypervisorEvent) -> None:
        """Bring an event, as the guest's nature and its connection allow."""
        delivery, now = guest.delivery(), self.loop.time()
        guest.next_event = max(now + delivery.late, guest.next_event, now + self.hangs_for(guest.uri))
        for _ in range(delivery.copies):
            if guest.next_event > now:
                self.loop.call_at(guest.next_event, self._bring, self._listener, guest.uri, event)
            else:
                self._bring(self._listener, guest.uri, event)

    def _bring(self, listener: Callable[[HypervisorEvent], None], uri: str, event: HypervisorEvent) -> None:
        if uri not in self._away and uri not in self._given_up:
            self._say(listener, event)

    def _say(self, listener: Callable[[HypervisorEvent], None], event: HypervisorEvent) -> None:
        """Tell who listened when it happened; a run that is over has no process any more that could hear it."""
        if listener == self._listener:
            listener(event)

    def hang(self, uri: str, seconds: float) -> None:
        """A daemon answers nobody for a while."""
        self._hangs_until[uri] = self.loop.time() + seconds
        self.closures[uri].append((self.loop.time(), self.loop.time() + seconds))

    def hangs_for(self, uri: str) -> float:
        """Seconds until the daemon answers again."""
        left = self._hangs_until.get(uri, 0.0) - self.loop.time()
        return left if left > _INSTANT else 0.0

    def lose(self, uri: str, *, back_after: float | None = None) -> None:
        """A connection dies, for some seconds or for good; as long as it is tried again nobody gives it up."""
        if uri in self._dead:
            return
        lasts = math.inf if back_after is None else back_after
        self.closures[uri].append((self.loop.time(), self.loop.time() + lasts))
        self._dead.add(uri)
        self._away.add(uri)
        self._listener(ConnectionClosed(uri, "end of file"))
        if lasts > self._reconnect[uri]:
            self.loop.call_later(self._reconnect[uri], self._give_up, uri, self._listener)
        if lasts != math.inf:
            heard = self._listener if lasts <= self._reconnect[uri] else _nobody
            self.loop.call_later(lasts, self._revive, uri, heard)

    def _give_up(self, uri: str, listener: Callable[[HypervisorEvent], None]) -> None:
        if listener == self._listener and uri not in self._given_up:
            self._given_up[uri] = self.loop.time()
            self.closures[uri].append((self.loop.time(), math.inf))
        self._say(listener, ConnectionGivenUp(uri, "end of file"))

    def keep_dead(self, uri: str, seconds: float) -> None:
        """A daemon is not there yet."""
        self.closures[uri].append((self.loop.time(), self.loop.time() + seconds))
        self._dead.add(uri)
        self.loop.call_later(seconds, self._dead.discard, uri)

    def _revive(self, uri: str, listener: Callable[[HypervisorEvent], None]) -> None:
        self._dead.discard(uri)
        self._away.discard(uri)
        self.note(f"{uri} lives again")
        self._say(listener, ConnectionRestored(uri))

    def settle(self) -> None:
        """Daemons and connections are well again, as nobody listens any more."""
        self._listener = _nobody
        for uri in [*self._given_up]:
            self._open_anew(uri)
        self._dead.clear()
        self._away.clear()
        self._hangs_until.clear()


def _nobody(_: HypervisorEvent) -> None:
    """Nobody listens."""
