"""Other hosts in memory: what guests do there is what the tests say of each (`FakeGuest.elsewhere`)."""

import asyncio
from collections.abc import Mapping, Sequence

from lastcall.api.guests import Guest, GuestState, Key
from lastcall.errors import HypervisorError
from lastcall.hypervisor.moving.other_hosts import FarGuest, Journey, Surroundings
from lastcall.testing.memory.guest import FakeGuest

_GONE = (GuestState.OFF, GuestState.UNKNOWN)


class FakeOtherHosts:
    """Implements `lastcall.hypervisor.moving.other_hosts.OtherHosts` in memory."""

    def __init__(self, guests: Mapping[Key, FakeGuest], loop: asyncio.AbstractEventLoop) -> None:
        self._guests, self._loop = guests, loop
        self.surroundings: dict[str, Surroundings] = {}

    async def ask(self, uri: str, guest: Guest) -> FarGuest:
        """What the test says of it there; unknown means that there is no such guest, nothing that no answer comes."""
        fake = await self._reached(uri, guest)
        state = fake.elsewhere[uri]
        if state is GuestState.UNKNOWN:
            return FarGuest()
        saved = state is GuestState.OFF and uri in fake.saved_at
        return FarGuest(state=state, defined=True, saved=saved, leaves=uri in fake.leaves)

    async def inspect(self, uri: str, guests: Sequence[Guest]) -> Surroundings:
        """What the test says; a host of which it says nothing does not answer."""
        if uri not in self.surroundings:
            raise HypervisorError(f"{uri} does not answer")
        return self.surroundings[uri]

    async def supply(self, uri: str, guest: Guest, journey: Journey) -> Sequence[str]:
        """Tell what it lacks here."""
        fake = await self._reached(uri, guest)
        return (fake.lacks,) if fake.lacks else ()

    async def fetch(self, uri: str, guest: Guest, journey: Journey) -> None:
        """Have it here after `takes` seconds, unless that is refused or hangs."""
        fake = await self._reached(uri, guest)
        self._note(fake, f"fetch by {journey.storage}")
        if "fetch" in fake.refuses or fake.elsewhere[uri] in _GONE:
            raise HypervisorError("the migration is refused")
        state, fake.state = fake.elsewhere[uri], GuestState.PAUSED  # half of it
        await asyncio.sleep(fake.takes if "fetch" not in fake.hangs_in else journey.timeout)
        if uri not in fake.elsewhere or "fetch" in fake.hangs_in:
            fake.state = GuestState.OFF
            raise HypervisorError("the migration was ended")
        fake.state, fake.elsewhere[uri], fake.undefined = state, GuestState.UNKNOWN, False

    async def adopt(self, uri: str, guest: Guest, *, drop_image: bool) -> None:
        """Have it defined here, and there no more."""
        fake = await self._reached(uri, guest)
        self._note(fake, "adopt")
        if "adopt" in fake.refuses or fake.elsewhere[uri] is not GuestState.OFF:
            raise HypervisorError("it was started there meanwhile")
        fake.elsewhere[uri], fake.undefined = GuestState.UNKNOWN, False

    async def autostart(self, guest: Guest) -> None:
        """Note it."""
        self._note(self._guests[guest.key], "autostart")

    async def _reached(self, uri: str, guest: Guest) -> FakeGuest:
        fake = self._guests[guest.key]
        await asyncio.sleep(fake.answers_after.get(uri, 0.0))
        if uri not in fake.elsewhere:
            raise HypervisorError(f"{uri} does not answer")
        return fake

    def _note(self, fake: FakeGuest, what: str) -> None:
        fake.asked.append((self._loop.time(), what))
