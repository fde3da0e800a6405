"""Whom libvirt has stopped by its own settings as the host goes down: said, and known for the list of guests."""

import asyncio
from collections.abc import Container, Sequence
from itertools import chain

from lastcall.api.guests import Guest, Key
from lastcall.api.naming.guest_names import GuestNames
from lastcall.config.policy.management import is_ours
from lastcall.errors import LastcallError
from lastcall.formats.bounded_text import first_names
from lastcall.hypervisor.ports import Hypervisor, OwnStop
from lastcall.presence.inventory import Inventory
from lastcall.records.stream import Stream
from lastcall.timing.budget import STEP
from lastcall.timing.terms import Terms

FEW = 10  # guests that are named one by one


class OwnStops:
    """Asks the hypervisor of a host stop for them."""

    def __init__(self, hypervisor: Hypervisor, inventory: Inventory, stream: Stream, terms: Terms) -> None:
        self._hypervisor, self._inventory = hypervisor, inventory
        self._stream, self._terms = stream, terms
        self._told: set[Key] = set()

    async def notice(self, known: Sequence[Guest], listed: Container[Key]) -> list[Guest]:
        """Say whom libvirt has stopped since the last time; returns whom the run does not know, and is to bring back.

        `known`: the run's guests. Who was asked by it went off by that, as far as anybody can tell; and who is `listed`
        already, by a run before it.
        """
        if self._terms.reason.voluntary:
            return []
        keys = {guest.key for guest in known}
        asked = await asyncio.gather(*(self._ask(uri) for uri in self._inventory.connections.uris))
        found = list(chain.from_iterable(asked))
        fresh = [
            one
            for one in found
            if one.guest.key not in self._told
            and (self._is_its_own(one.guest.key) if one.guest.key in keys else one.guest.key not in listed)
        ]
        self._told |= {one.guest.key for one in fresh}
        for where, remedy in dict.fromkeys((one.guest.uri, one.remedy) for one in fresh):
            of_it = [one for one in fresh if (one.guest.uri, one.remedy) == (where, remedy)]
            self._stream.problem("rival", where, _message(of_it), remedy)
        return await self._keepers([one.guest for one in fresh if one.guest.key not in keys])

    async def _ask(self, uri: str) -> Sequence[OwnStop]:
        try:
            async with self._terms.bounded(STEP):
                return await self._hypervisor.own_stops(uri, since=self._stream.now())
        except (LastcallError, TimeoutError):
            return ()  # without evidence nothing is claimed

    def _is_its_own(self, key: Key) -> bool:
        story = self._stream.story
        return not story.tried(key) and story.result(key).asked is None

    async def _keepers(self, guests: list[Guest]) -> list[Guest]:
        if not guests:
            return []
        await self._inventory.learn(guests)
        policies = [(guest, self._inventory.policies.of(guest)) for guest in guests]
        return [guest for guest, policy in policies if is_ours(policy) and policy.restore and guest.persistent]


def _message(stops: Sequence[OwnStop]) -> str:
    called = GuestNames(one.guest for one in stops)
    names = first_names([f"{called.of(one.guest)} ({one.ended.value})" for one in stops], FEW)
    return f"libvirt stopped guests itself, before lastcall asked them: {names}; {stops[0].setting}"
