"""A hypervisor in memory, and workers that need no thread."""

import asyncio
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from lastcall.api.guests import Ended, Guest, GuestState
from lastcall.api.run import AddressSource, Domain, Json, ShutdownMode
from lastcall.errors import ConnectionLost, HypervisorError
from lastcall.ports import (
    Call,
    Connected,
    ConnectionClosed,
    GuestStarted,
    GuestStopped,
    HypervisorEvent,
    Standing,
    Target,
)
from lastcall.workers import WorkerExit

T = TypeVar("T")
URI = "fake:///system"


class Hangs(BaseException):
    """Raised by work that pretends to hang: its caller waits until the time is over."""


class InlineWorkers:
    """Does work at once, on the loop thread. Work that blocks blocks everything: let it raise `Hangs` instead."""

    async def call(self, work: Callable[[], T], *, timeout: float | None) -> T:
        """Run the work; a timeout that is over already is a TimeoutError."""
        if timeout is not None and timeout <= 0:
            raise TimeoutError
        try:
            return work()
        except Exception:
            raise
        except Hangs:
            await asyncio.sleep(math.inf if timeout is None else timeout)
            raise TimeoutError from None
        except BaseException as error:  # noqa: BLE001  as the real workers do
            raise WorkerExit(error) from None

    def post(self, action: Callable[[], None]) -> None:
        """Do it at once: there is one thread only."""
        action()


@dataclass(slots=True)
class FakeGuest:
    """A guest in memory: how long it takes to go off, what it is deaf to, what libvirt refuses or hangs in."""

    name: str
    takes: float = 1.0
    deaf_to: frozenset[str] = frozenset()
    refuses: frozenset[str] = frozenset()
    hangs_in: frozenset[str] = frozenset()
    state: GuestState = GuestState.RUNNING
    persistent: bool = True
    driver: str = "QEMU"
    uri: str = URI
    starts_after: int = 1
    uuid: str = ""
    saved: bool = False
    ended: Ended | None = None
    asked: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    off_at: float | None = None

    def __post_init__(self) -> None:
        self.uuid = self.uuid or str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.uri}#{self.name}"))

    @property
    def guest(self) -> Guest:
        """As libvirt would list it."""
        return Guest(
            uri=self.uri,
            uuid=self.uuid,
            name=self.name,
            driver=self.driver,
            persistent=self.persistent,
            state=self.state,
        )


class FakeHypervisor:
    """Implements `lastcall.ports.Hypervisor` in memory. URIs in `dead` cannot be connected to."""

    def __init__(
        self, guests: Sequence[FakeGuest], loop: asyncio.AbstractEventLoop, *, dead: Sequence[str] = ()
    ) -> None:
        self.guests = {guest.guest.key: guest for guest in guests}
        self.loop = loop
        self._dead = set(dead)
        self._listener: Callable[[HypervisorEvent], None] = lambda _: None

    async def connect(self, targets: Sequence[Target], listener: Callable[[HypervisorEvent], None]) -> list[Connected]:
        """Connect to every URI that is not dead."""
        self._listener = listener
        return [self._connected(target) for target in targets]

    async def active(self, uri: str) -> list[Guest]:
        """List the guests that are not off."""
        self._require(uri)
        return [fake.guest for fake in self.guests.values() if fake.uri == uri and fake.state is not GuestState.OFF]

    async def standing(self, guest: Guest) -> Standing:
        """Tell a guest's state."""
        self._require(guest.uri)
        fake = self.guests[guest.key]
        return Standing(fake.state, fake.ended if fake.state is GuestState.OFF else None, saved=fake.saved)

    async def start(self, guest: Guest) -> None:
        """Start a guest, at the `starts_after`-th attempt."""
        self._require(guest.uri)
        fake = self.guests[guest.key]
        fake.asked.append((self.loop.time(), "start"))
        fake.starts_after -= 1
        if fake.starts_after > 0:
            raise HypervisorError(f"{fake.name} cannot be started yet")
        restored, fake.saved, fake.state, fake.ended = fake.saved, False, GuestState.RUNNING, None
        self._listener(GuestStarted(fake.uri, fake.uuid, restored=restored))

    def domain(self, guest: Guest, call: Call, sent: Callable[[], None] | None = None) -> Domain:
        """A view of the guest."""
        return FakeDomain(self, self.guests[guest.key], call, sent)

    def close(self) -> None:
        """Nothing to give back."""

    def stop(self, fake: FakeGuest, ended: Ended) -> None:
        """Let a guest be off now."""
        if fake.state is not GuestState.OFF:
            fake.state, fake.ended, fake.off_at = GuestState.OFF, ended, self.loop.time()
            fake.saved = ended is Ended.SAVED
            self._listener(GuestStopped(fake.uri, fake.uuid, ended))

    def lose(self, uri: str) -> None:
        """Let a connection die."""
        self._dead.add(uri)
        self._listener(ConnectionClosed(uri, "end of file"))

    def _connected(self, target: Target) -> Connected:
        if target.uri in self._dead:
            return Connected(target, error=HypervisorError(f"cannot connect to {target.uri}"))
        return Connected(target, uri=target.uri)

    def _require(self, uri: str) -> None:
        if uri in self._dead:
            raise ConnectionLost(f"not connected to {uri}")


class FakeDomain:
    """Implements `lastcall.Domain` for a guest in memory."""

    def __init__(
        self, hypervisor: FakeHypervisor, fake: FakeGuest, call: Call, sent: Callable[[], None] | None
    ) -> None:
        self._hypervisor = hypervisor
        self._fake = fake
        self._call = call
        self._sent = sent

    def state(self) -> GuestState:
        """The state."""
        self._call.remaining()
        return self._fake.state

    def xml(self) -> str:
        """A minimal domain."""
        return f"<domain><name>{self._fake.name}</name></domain>"

    def agent_connected(self) -> bool:
        """Say whether it hears its agent."""
        return "agent" not in self._fake.deaf_to

    def raw(self) -> Any:
        """There is no libvirt object behind it."""
        raise HypervisorError("a fake guest has no libvirt domain")

    def shutdown(self, mode: ShutdownMode) -> None:
        """Go off after `takes` seconds, unless deaf to this."""
        self._ask(mode, Ended.SHUTDOWN)

    def save(self, *, bypass_cache: bool = False) -> None:
        """Be saved after `takes` seconds."""
        self._ask("save", Ended.SAVED)

    def destroy(self, *, graceful: bool = False) -> None:
        """Be off at once."""
        self._ask("graceful" if graceful else "destroy", Ended.DESTROYED)

    def abort_job(self) -> None:
        """Note that somebody asked for it."""
        self._fake.asked.append((self._hypervisor.loop.time(), "abort"))

    def agent(self, command: str, arguments: Mapping[str, Json] | None = None, *, timeout: float | None = None) -> Json:
        """Answer nothing."""
        raise HypervisorError("a fake guest has no agent")

    def addresses(self, source: AddressSource) -> tuple[str, ...]:
        """Have no address."""
        return ()

    def sync_time(self) -> None:
        """Have no clock."""

    def _ask(self, how: str, ended: Ended) -> None:
        self._call.remaining()
        loop, fake = self._hypervisor.loop, self._fake
        if self._sent:
            self._sent()
        fake.asked.append((loop.time(), how))
        if how in fake.hangs_in:
            raise Hangs
        if how in fake.refuses:
            raise HypervisorError(f"{how} is refused")
        if how not in fake.deaf_to:
            loop.call_later(0 if ended is Ended.DESTROYED else fake.takes, self._hypervisor.stop, fake, ended)
