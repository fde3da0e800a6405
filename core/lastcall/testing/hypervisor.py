"""A hypervisor in memory."""

import asyncio
import dataclasses
from collections.abc import Callable, Mapping, Sequence

from lastcall.api.guests import Ended, Guest, GuestState
from lastcall.api.run import Domain
from lastcall.config.metadata import parse_element
from lastcall.errors import ConnectionLost, HypervisorError
from lastcall.hypervisor.guest_facts import GuestFacts
from lastcall.hypervisor.ports import (
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
from lastcall.testing.domain import FakeDomain
from lastcall.testing.guest import FakeGuest


class FakeHypervisor:
    """Implements `lastcall.hypervisor.ports.Hypervisor` in memory. URIs in `dead` cannot be connected to."""

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

    async def facts(self, uri: str, guests: Sequence[Guest]) -> Mapping[tuple[str, str], GuestFacts]:
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
        fake.traits = dataclasses.replace(fake.traits, metadata=parse_element(xml))

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
