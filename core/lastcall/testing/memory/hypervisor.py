"""A hypervisor in memory."""

import asyncio
import dataclasses
from collections.abc import Callable, Mapping, Sequence

from lastcall.api.guests import Ended, Guest, GuestState, Key
from lastcall.api.run import Domain
from lastcall.config.metadata import parse_element
from lastcall.errors import BadImage, ConnectionLost, GuestGone, HypervisorError, OperationInvalid
from lastcall.hypervisor.ports import (
    Call,
    Connected,
    ConnectionClosed,
    ConnectionGivenUp,
    ConnectionRestored,
    GuestCrashed,
    GuestFacts,
    GuestPoweredOff,
    GuestRebooted,
    GuestResumed,
    GuestStarted,
    GuestStopped,
    HypervisorEvent,
    Looked,
    OwnStop,
    Standing,
    StartNeeds,
    Target,
)
from lastcall.hypervisor.starting.asked_starts import AskedStarts
from lastcall.testing.memory.domain import FakeDomain
from lastcall.testing.memory.guest import FakeGuest
from lastcall.testing.memory.other_hosts import FakeOtherHosts

QUERY_TIMEOUT = 10.0  # seconds, as with libvirt
MOMENT = 0.5  # seconds after which a look that hangs asks again how long it may


class FakeHypervisor:
    """Implements `lastcall.hypervisor.ports.Hypervisor` in memory. URIs in `dead` cannot be connected to."""

    def __init__(
        self, guests: Sequence[FakeGuest], loop: asyncio.AbstractEventLoop, *, dead: Sequence[str] = ()
    ) -> None:
        self.guests = {guest.guest.key: guest for guest in guests}
        self.loop = loop
        self.asked_starts = AskedStarts()
        self.hosts: dict[str, str] = {}  # by URI; each URI is a host of its own where nothing is said
        self.other_hosts = FakeOtherHosts(self.guests, loop)
        self._dead = set(dead)
        self._away: set[str] = set()
        self._listeners: dict[str, list[Callable[[HypervisorEvent], None]]] = {}  # by URI: several hosts may share one
        self._yet_to_come = [
            fake for fake in guests if fake.appears_at is not None and fake.state is not GuestState.OFF
        ]

    async def connect(self, targets: Sequence[Target], listener: Callable[[HypervisorEvent], None]) -> list[Connected]:
        """Connect to every URI that is not dead."""
        for target in targets:
            heard_by = self._listeners.setdefault(target.uri, [])
            if listener not in heard_by:
                heard_by.append(listener)
        yet_to_come, self._yet_to_come = self._yet_to_come, []
        for fake in yet_to_come:
            fake.state = GuestState.OFF
            self.loop.call_later(fake.appears_at or 0.0, self.begin, fake)
        return [self._connected(target) for target in targets]

    async def active(self, uri: str) -> list[Guest]:
        """List the guests that are not off."""
        self.require(uri)
        return [fake.guest for fake in self.guests.values() if fake.uri == uri and fake.state is not GuestState.OFF]

    async def inactive(self, uri: str) -> list[Guest]:
        """List the guests that are off."""
        self.require(uri)
        return [fake.guest for fake in self.guests.values() if fake.uri == uri and fake.state is GuestState.OFF]

    async def look(self, uri: str, guests: Sequence[Guest], *, until: Callable[[], float]) -> Looked:
        """Tell what the tests gave them; who hangs in a `look` takes all the time, who refuses it none."""
        self.require(uri)
        fakes = [self.guests[guest.key] for guest in guests if guest.key in self.guests]
        fakes = [fake for fake in fakes if not (fake.undefined and fake.state is GuestState.OFF)]
        hanging = {fake.guest.key: "libvirt does not answer a look at it" for fake in fakes if "look" in fake.hangs_in}
        refusing = {fake.guest.key: "look is refused" for fake in fakes if "look" in fake.refuses}
        while hanging and self.loop.time() < until():
            await asyncio.sleep(min(MOMENT, until() - self.loop.time()))
        silent = hanging | refusing
        return Looked({fake.guest.key: fake.traits for fake in fakes if fake.guest.key not in silent}, silent)

    async def facts(self, uri: str, guests: Sequence[Guest]) -> Mapping[Key, GuestFacts]:
        """Tell what the tests gave them."""
        until = self.loop.time() + QUERY_TIMEOUT
        looked = await self.look(uri, guests, until=lambda: until)
        for why in looked.silent.values():
            raise HypervisorError(why)
        return looked.facts

    async def set_on_poweroff(self, guest: Guest, action: str) -> None:
        """Note it, and let the guest behave so."""
        self.require(guest.uri)
        fake = self.guests[guest.key]
        fake.asked.append((self.loop.time(), f"on_poweroff {action}"))
        if "on_poweroff" in fake.refuses:
            raise OperationInvalid("on_poweroff is refused", code=55)
        fake.reboots = 0 if action == "destroy" else fake.reboots

    async def abort_job(self, guest: Guest) -> None:
        """Note it, and let somebody's job be over."""
        self.require(guest.uri)
        fake = self.guests[guest.key]
        fake.asked.append((self.loop.time(), "abort"))
        if "abort" in fake.hangs_in:
            await asyncio.sleep(QUERY_TIMEOUT)
            raise TimeoutError
        if "abort" in fake.refuses:
            raise OperationInvalid("abort is refused", code=55)
        fake.traits = dataclasses.replace(fake.traits, job=None)

    async def write_metadata(self, guest: Guest, key: str, namespace: str, xml: str | None) -> None:
        """Keep it."""
        self.require(guest.uri)
        fake = self.guests[guest.key]
        fake.traits = dataclasses.replace(fake.traits, metadata=parse_element(xml))

    async def standing(self, guest: Guest) -> Standing:
        """Tell a guest's state."""
        self.require(guest.uri)
        fake = self.guests[guest.key]
        ended = fake.ended if fake.state is GuestState.OFF else None
        if fake.undefined and fake.state is GuestState.OFF:
            return Standing(GuestState.OFF, Ended.VANISHED)
        return Standing(fake.state, ended, saved=fake.saved, kept=fake.kept)

    async def own_stops(self, uri: str, *, since: float) -> list[OwnStop]:
        """Tell who is off by a setting of the daemon's."""
        self.require(uri)
        fakes = [fake for fake in self.guests.values() if fake.uri == uri and fake.stopped_by]
        return [
            OwnStop(guest=fake.guest, ended=fake.ended, setting=fake.stopped_by, remedy="set it to none")
            for fake in fakes
            if fake.state is GuestState.OFF and fake.ended
        ]

    async def start(self, guest: Guest, *, bypass_cache: bool = False) -> None:
        """Start a guest, at the `starts_after`-th attempt."""
        self.require(guest.uri)
        fake = self.guests[guest.key]
        fake.asked.append((self.loop.time(), "start"))
        if fake.undefined:
            raise GuestGone(f"there is no {fake.name}", code=42)
        if fake.state is not GuestState.OFF:
            raise OperationInvalid("domain is already running", code=55)
        if fake.lacks:
            raise HypervisorError(f"{fake.lacks} is not there")
        fake.starts_after -= 1
        if fake.starts_after > 0:
            raise HypervisorError(f"{fake.name} cannot be started yet")
        if fake.saved and fake.bad_image:
            raise BadImage("its saved image does not load: load of migration failed")
        restored = fake.saved and not fake.drops_image
        fake.saved, fake.state, fake.ended = False, GuestState.RUNNING, None
        kept, fake.kept = fake.kept, False
        again = GuestResumed(fake.uri, fake.uuid) if kept else GuestStarted(fake.uri, fake.uuid, restored=restored)
        self.tell(again)

    async def supply(self, guest: Guest) -> StartNeeds:
        """Tell what it lacks."""
        self.require(guest.uri)
        fake = self.guests[guest.key]
        return StartNeeds(missing=(fake.lacks,) if fake.lacks else ())

    async def drop_image(self, guest: Guest) -> None:
        """Note it, and let it have none."""
        self.require(guest.uri)
        fake = self.guests[guest.key]
        fake.asked.append((self.loop.time(), "drop image"))
        if "drop image" in fake.refuses:
            raise HypervisorError("drop image is refused")
        fake.saved = False

    def domain(self, guest: Guest, call: Call, sent: Callable[[], None] | None = None) -> Domain:
        """A view of the guest."""
        return FakeDomain(self, self.guests[guest.key], call, sent)

    def moved_to(self, guest: Guest) -> str:
        """Where it was moved."""
        return self.guests[guest.key].moved_to

    def close(self) -> None:
        """Nothing to give back."""

    def stop(self, fake: FakeGuest, ended: Ended) -> None:
        """Let a guest be off now."""
        if fake.state is not GuestState.OFF and fake.reboots and ended is Ended.SHUTDOWN:
            fake.reboots -= 1
            self._tell(fake.uri, GuestRebooted(fake.uri, fake.uuid))
        elif fake.state is not GuestState.OFF and fake.lingers and ended is Ended.SHUTDOWN:
            self._tell(fake.uri, GuestPoweredOff(fake.uri, fake.uuid))
        elif fake.state is not GuestState.OFF:
            fake.state, fake.ended, fake.off_at = GuestState.OFF, ended, self.loop.time()
            fake.saved, fake.kept = ended is Ended.SAVED, fake.backed_up and ended is Ended.SHUTDOWN
            if not fake.quiet:
                self._tell(fake.uri, GuestStopped(fake.uri, fake.uuid, ended, kept=fake.kept))

    def _tell(self, uri: str, event: HypervisorEvent) -> None:
        """A dead connection brings no events."""
        if uri not in self._away:
            self.tell(event)

    def begin(self, fake: FakeGuest) -> None:
        """Let a guest be started by somebody else."""
        fake.state, fake.ended, fake.life = GuestState.RUNNING, None, fake.life + 1
        self._tell(fake.uri, GuestStarted(fake.uri, fake.uuid))

    def crash(self, fake: FakeGuest) -> None:
        """Let a guest's system crash."""
        fake.state = GuestState.CRASHED
        self.tell(GuestCrashed(fake.uri, fake.uuid))

    def tell(self, event: HypervisorEvent) -> None:
        """Let an event come."""
        for listener in list(self._listeners.get(event.uri, ())):
            listener(event)

    def lose(self, uri: str, *, back_after: float | None = None) -> None:
        """Let a connection die, for some seconds or for good."""
        self._dead.add(uri)
        self._away.add(uri)
        self.tell(ConnectionClosed(uri, "end of file"))
        if back_after is None:
            self.tell(ConnectionGivenUp(uri, "end of file"))
        else:
            self.loop.call_later(back_after, self._come_back, uri)

    def open_up(self, uri: str) -> None:
        """Let a connection that could not be opened be opened from now on."""
        self._dead.discard(uri)

    def _come_back(self, uri: str) -> None:
        self._dead.discard(uri)
        self._away.discard(uri)
        self.tell(ConnectionRestored(uri))

    def _connected(self, target: Target) -> Connected:
        if target.uri in self._dead:
            return Connected(target, error=HypervisorError(f"cannot connect to {target.uri}"))
        return Connected(target, uri=target.uri, host=self.hosts.get(target.uri, target.uri))

    def require(self, uri: str) -> None:
        """Raise ConnectionLost for a connection that is dead."""
        if uri in self._dead:
            raise ConnectionLost(f"not connected to {uri}")
