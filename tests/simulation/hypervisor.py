"""A hypervisor of simulated guests: what lastcall asks of it, and what happens to its guests."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from lastcall import Domain, Guest
from lastcall.api.guests import Ended, GuestState
from lastcall.errors import HypervisorError, OperationInvalid
from lastcall.hypervisor.ports import (
    Call,
    Condition,
    GuestCrashed,
    GuestFacts,
    GuestRebooted,
    GuestStarted,
    GuestStopped,
    Looked,
    Standing,
)
from simulation.connections import SimulatedConnections
from simulation.domain import SimulatedDomain
from simulation.guest import PLUGS, Change, Job, SimulatedGuest
from simulation.workers import PatientWorkers
from simulation.world import World


class SimulatedHypervisor(SimulatedConnections):
    """Stands where libvirt stands; what it notes down is the world's part of the story."""

    def __init__(self, world: World, loop: asyncio.AbstractEventLoop, note: Callable[[str], None]) -> None:
        self.population = {nature.name: SimulatedGuest.of(nature) for nature in world.guests}
        super().__init__(world, list(self.population.values()), loop, note)
        self.workers = PatientWorkers(loop)
        self.began = loop.time()
        self.boots = 0

    def since_start(self) -> float:
        """Seconds since the run began."""
        return self.loop.time() - self.began

    def guest(self, key: tuple[str, str]) -> SimulatedGuest:
        """The guest behind a key."""
        return cast("SimulatedGuest", self.guests[key])

    # What lastcall asks for

    async def active(self, uri: str) -> list[Guest]:
        """List the guests that are not off."""
        await self.reach(uri)
        return await super().active(uri)

    async def inactive(self, uri: str) -> list[Guest]:
        """List those that are off and still defined."""
        await self.reach(uri)
        return [guest for guest in await super().inactive(uri) if not self.guest(guest.key).gone]

    async def look(self, uri: str, guests: Sequence[Guest], *, until: Callable[[], float]) -> Looked:
        """Tell what is true now."""
        self.require(uri)
        return Looked(self._facts(guests))

    async def facts(self, uri: str, guests: Sequence[Guest]) -> Mapping[tuple[str, str], GuestFacts]:
        """Tell what is true now."""
        await self.reach(uri)
        return self._facts(guests)

    def _facts(self, guests: Sequence[Guest]) -> dict[tuple[str, str], GuestFacts]:
        return {guest.key: self.guest(guest.key).facts for guest in guests if not self.guest(guest.key).gone}

    async def set_on_poweroff(self, guest: Guest, action: str) -> None:
        """Let it stay off, or come back."""
        await self.reach(guest.uri)
        self.guest(guest.key).restarts = action == "restart"

    async def abort_job(self, guest: Guest) -> None:
        """End a save or migration."""
        await self.reach(guest.uri)
        self.abort(self.guest(guest.key))

    async def standing(self, guest: Guest) -> Standing:
        """Tell a guest's state."""
        await self.reach(guest.uri)
        found = self.guest(guest.key)
        return Standing(GuestState.OFF, Ended.VANISHED) if found.gone else await super().standing(guest)

    async def start(self, guest: Guest, *, bypass_cache: bool = False) -> None:
        """Start a guest, if it is off and this is the attempt at which it succeeds."""
        await self.reach(guest.uri)
        found = self.guest(guest.key)
        if found.active:
            raise OperationInvalid("domain is already running", code=55)
        found.starts_after -= 1
        if found.starts_after > 0:
            found.start_refused = True
            raise HypervisorError(f"{found.name} cannot be started yet", code=38)
        self.begin(found, by="lastcall")

    def domain(self, guest: Guest, call: Call, sent: Callable[[], None] | None = None) -> Domain:
        """A view of the guest."""
        return SimulatedDomain(self, self.guest(guest.key), call, sent)

    # What happens

    def obey(self, guest: SimulatedGuest, how: str, ended: Ended) -> None:
        """A request arrives at the guest, or at its QEMU."""
        nature, by = guest.nature, "lastcall"
        deaf = how in guest.deaf_to or guest.state is GuestState.CRASHED
        if how in PLUGS:
            # A graceful end is what a QEMU that hangs does not come to.
            if not (how == "graceful" and nature.plug):
                self._later(guest, nature.plug, Ended.DESTROYED, by)
        elif how == "save":
            guest.job = Job("save", by)
            self._later(guest, nature.saving, Ended.SAVED, by)
        elif not deaf:
            self._later(guest, nature.takes, ended, by)

    def _later(self, guest: SimulatedGuest, seconds: float, ended: Ended, by: str) -> None:
        self.loop.call_later(seconds, self._happen, guest, guest.life, ended, by, guest.job)

    def _happen(self, guest: SimulatedGuest, life: int, ended: Ended, by: str, job: Job | None) -> None:
        if life != guest.life or not guest.active or (ended is Ended.SAVED and guest.job is not job):
            return
        if ended is Ended.SHUTDOWN and guest.state in {GuestState.PAUSED, GuestState.CRASHED}:
            return  # what it has heard it cannot do any more
        if ended is Ended.SHUTDOWN and (guest.reboots or guest.restarts):
            guest.reboots = max(0, guest.reboots - 1)
            self.note(f"{guest.name} reboots")
            self.deliver(guest, GuestRebooted(guest.uri, guest.uuid))
            return
        self.end(guest, ended, by)

    def end(self, guest: SimulatedGuest, ended: Ended, by: str) -> None:
        """A guest is off now."""
        guest.state, guest.ended, guest.off_at = GuestState.OFF, ended, self.loop.time()
        guest.saved, guest.job, guest.held = ended is Ended.SAVED, None, Condition.FREE
        guest.gone = not guest.persistent
        guest.life += 1
        guest.changes.append(Change(self.loop.time(), ended, by))
        self.note(f"{guest.name} is off: {ended.value}, by {by}")
        self.deliver(guest, GuestStopped(guest.uri, guest.uuid, ended))

    def begin(self, fake: "SimulatedGuest", by: str = "somebody") -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A guest is started."""
        restored, fake.saved = fake.saved, False
        fake.state, fake.ended, fake.gone, fake.restarts = GuestState.RUNNING, None, False, fake.nature.restarts
        fake.life += 1
        fake.changes.append(Change(self.loop.time(), None, by))
        self.note(f"{fake.name} is started by {by}")
        self.deliver(fake, GuestStarted(fake.uri, fake.uuid, restored=restored))

    def crash(self, fake: "SimulatedGuest") -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Its system crashes, and it is kept as it is."""
        fake.state = GuestState.CRASHED
        fake.hopeless.append(self.loop.time())
        self.deliver(fake, GuestCrashed(fake.uri, fake.uuid))

    def abort(self, guest: SimulatedGuest) -> None:
        """The domain's job ends without having done anything."""
        if guest.job:
            self.note(f"the {guest.job.what} of {guest.name} is aborted")
            guest.job = None

    def cut_off(self) -> None:
        """The host goes down: whoever runs is cut off, and every daemon begins anew."""
        for guest in self.population.values():
            if guest.active:
                self.end(guest, Ended.DESTROYED, "host")
        self.boots += 1
        self.settle()
