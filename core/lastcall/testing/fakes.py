"""A hypervisor in memory."""

import asyncio
import dataclasses
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lastcall.api.guests import Ended, Guest, GuestState
from lastcall.api.run import AddressSource, Domain, Json, ShutdownMode
from lastcall.config.metadata import parse
from lastcall.errors import ConnectionLost, HypervisorError, OperationInvalid
from lastcall.ports import (
    Call,
    Connected,
    ConnectionClosed,
    ConnectionGivenUp,
    ConnectionRestored,
    GuestCrashed,
    GuestRebooted,
    GuestStarted,
    GuestStopped,
    HypervisorEvent,
    Standing,
    Target,
)
from lastcall.testing.workers import Hangs
from lastcall.traits import PLAIN, Traits

URI = "fake:///system"


@dataclass(slots=True)
class FakeGuest:
    """A guest in memory: how long it takes to go off, what it is deaf to, what libvirt refuses or hangs in.

    `appears_at`: it is started at that time only. `reboots`: how often it begins anew instead of powering off.
    `breaks`: by what it goes off so fast that the request itself fails.
    `agent`: a guest agent is connected, which answers unless the guest is deaf to it.
    """

    name: str
    takes: float = 1.0
    deaf_to: frozenset[str] = frozenset()
    refuses: frozenset[str] = frozenset()
    hangs_in: frozenset[str] = frozenset()
    breaks: frozenset[str] = frozenset()
    state: GuestState = GuestState.RUNNING
    persistent: bool = True
    driver: str = "QEMU"
    uri: str = URI
    starts_after: int = 1
    uuid: str = ""
    saved: bool = False
    traits: Traits = PLAIN
    appears_at: float | None = None
    reboots: int = 0
    agent: bool = False
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
        self._away: set[str] = set()
        self._listener: Callable[[HypervisorEvent], None] = lambda _: None

    async def connect(self, targets: Sequence[Target], listener: Callable[[HypervisorEvent], None]) -> list[Connected]:
        """Connect to every URI that is not dead."""
        self._listener = listener
        for fake in self.guests.values():
            if fake.appears_at is not None and fake.state is not GuestState.OFF:
                fake.state = GuestState.OFF
                self.loop.call_later(fake.appears_at, self.begin, fake)
        return [self._connected(target) for target in targets]

    async def active(self, uri: str) -> list[Guest]:
        """List the guests that are not off."""
        self.require(uri)
        return [fake.guest for fake in self.guests.values() if fake.uri == uri and fake.state is not GuestState.OFF]

    async def inactive(self, uri: str) -> list[Guest]:
        """List the guests that are off."""
        self.require(uri)
        return [fake.guest for fake in self.guests.values() if fake.uri == uri and fake.state is GuestState.OFF]

    async def traits(self, uri: str, guests: Sequence[Guest]) -> Mapping[tuple[str, str], Traits]:
        """Tell what the tests gave them."""
        self.require(uri)
        return {guest.key: self.guests[guest.key].traits for guest in guests if guest.key in self.guests}

    async def set_on_poweroff(self, guest: Guest, action: str) -> None:
        """Note it, and let the guest behave so."""
        self.require(guest.uri)
        fake = self.guests[guest.key]
        fake.asked.append((self.loop.time(), f"on_poweroff {action}"))
        fake.reboots = 0 if action == "destroy" else fake.reboots

    async def abort_job(self, guest: Guest) -> None:
        """Note it."""
        self.require(guest.uri)
        self.guests[guest.key].asked.append((self.loop.time(), "abort"))

    async def write_metadata(self, guest: Guest, key: str, namespace: str, xml: str | None) -> None:
        """Keep it."""
        self.require(guest.uri)
        fake = self.guests[guest.key]
        fake.traits = dataclasses.replace(fake.traits, metadata=parse(xml))

    async def standing(self, guest: Guest) -> Standing:
        """Tell a guest's state."""
        self.require(guest.uri)
        fake = self.guests[guest.key]
        return Standing(fake.state, fake.ended if fake.state is GuestState.OFF else None, saved=fake.saved)

    async def start(self, guest: Guest, *, bypass_cache: bool = False) -> None:
        """Start a guest, at the `starts_after`-th attempt."""
        self.require(guest.uri)
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
        if fake.state is not GuestState.OFF and fake.reboots and ended is Ended.SHUTDOWN:
            fake.reboots -= 1
            self._tell(fake.uri, GuestRebooted(fake.uri, fake.uuid))
        elif fake.state is not GuestState.OFF:
            fake.state, fake.ended, fake.off_at = GuestState.OFF, ended, self.loop.time()
            fake.saved = ended is Ended.SAVED
            self._tell(fake.uri, GuestStopped(fake.uri, fake.uuid, ended))

    def _tell(self, uri: str, event: HypervisorEvent) -> None:
        """A dead connection brings no events."""
        if uri not in self._away:
            self._listener(event)

    def begin(self, fake: FakeGuest) -> None:
        """Let a guest be started by somebody else."""
        fake.state, fake.ended = GuestState.RUNNING, None
        self._listener(GuestStarted(fake.uri, fake.uuid))

    def crash(self, fake: FakeGuest) -> None:
        """Let a guest's system crash."""
        fake.state = GuestState.CRASHED
        self._listener(GuestCrashed(fake.uri, fake.uuid))

    def lose(self, uri: str, *, back_after: float | None = None) -> None:
        """Let a connection die, for some seconds or for good."""
        self._dead.add(uri)
        self._away.add(uri)
        self._listener(ConnectionClosed(uri, "end of file"))
        if back_after is None:
            self._listener(ConnectionGivenUp(uri, "end of file"))
        else:
            self.loop.call_later(back_after, self._come_back, uri)

    def _come_back(self, uri: str) -> None:
        self._dead.discard(uri)
        self._away.discard(uri)
        self._listener(ConnectionRestored(uri))

    def _connected(self, target: Target) -> Connected:
        if target.uri in self._dead:
            return Connected(target, error=HypervisorError(f"cannot connect to {target.uri}"))
        return Connected(target, uri=target.uri, host=target.uri)

    def require(self, uri: str) -> None:
        """Raise ConnectionLost for a connection that is dead."""
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
        return self._fake.agent

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

    def resume(self) -> None:
        """Go on at once."""
        self._prepare("resume")

    def wake(self) -> None:
        """Wake up at once."""
        self._prepare("wake")

    def send_signal(self, number: int, pid: int = 1) -> None:
        """Go off after `takes` seconds, unless deaf to this signal."""
        self._ask(f"signal {number}", Ended.SHUTDOWN)

    def unsaveable(self) -> str:
        """What the test says."""
        return self._fake.traits.unsaveable

    def abort_job(self) -> None:
        """Note that somebody asked for it."""
        self._fake.asked.append((self._hypervisor.loop.time(), "abort"))

    def agent(self, command: str, arguments: Mapping[str, Json] | None = None, *, timeout: float | None = None) -> Json:
        """Answer a ping, and go off when asked to shut down; know nothing else."""
        if not self._fake.agent or "agent" in self._fake.deaf_to:
            raise HypervisorError("the guest agent does not answer", code=86)
        if command == "guest-shutdown":
            self._ask("agent", Ended.SHUTDOWN)
        elif command != "guest-ping":
            raise HypervisorError(f"the agent of a fake guest knows no {command}")
        return {}

    def addresses(self, source: AddressSource) -> tuple[str, ...]:
        """Have no address."""
        return ()

    def sync_time(self) -> None:
        """Have no clock."""

    def _prepare(self, how: str) -> None:
        self._send(how)
        self._fake.state = GuestState.RUNNING

    def _send(self, how: str) -> None:
        self._call.remaining()
        fake = self._fake
        self._hypervisor.require(fake.uri)
        if self._sent:
            self._sent()
        fake.asked.append((self._hypervisor.loop.time(), how))
        if how in fake.hangs_in:
            raise Hangs
        if how in fake.refuses:
            raise HypervisorError(f"{how} is refused")

    def _ask(self, how: str, ended: Ended) -> None:
        self._send(how)
        loop, fake = self._hypervisor.loop, self._fake
        if how not in fake.deaf_to:
            loop.call_later(0 if ended is Ended.DESTROYED else fake.takes, self._hypervisor.stop, fake, ended)
        if how in fake.breaks:
            if how == "agent":
                raise HypervisorError("End of file from agent socket", code=1)
            raise OperationInvalid("domain is not running", code=55)
