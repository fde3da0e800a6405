"""What guests need for their start that is a neighbour's: it runs and is ready first, or its time is over."""

import asyncio
import math
from collections.abc import Iterable, Sequence
from contextlib import suppress

from lastcall.api.guests import Guest, GuestState, Key
from lastcall.config.guest_settings import Match
from lastcall.config.policy.management import is_watched
from lastcall.guests.readiness import Readiness
from lastcall.presence.inventory import Inventory
from lastcall.timing.terms import Terms

POLL = 2.0  # seconds between two looks: whoever has just booted has more to do than to answer questions
READY = 10.0  # seconds for one question whether a guest of a neighbour is ready


class NeededNeighbours:
    """Finds them by name, again and again: a neighbour whose power was gone, too, is up when it is up."""

    def __init__(self, inventory: Inventory, readiness: Readiness, terms: Terms) -> None:
        self._inventory, self._connections = inventory, inventory.connections
        self._readiness, self._terms = readiness, terms
        self._wanted: dict[Key, list[Match]] = {}
        self._running: Sequence[Guest] = ()
        self._known: Sequence[Guest] = ()
        self._all_known = False
        self._ready: set[Key] = set()
        self._looked_at, self._looking = -math.inf, asyncio.Lock()

    async def prepare(self, guests: Sequence[Guest]) -> None:
        """Find out who of these, that are to be started, needs somebody who is not a guest of ours."""
        policies, connections = self._inventory.policies, self._connections
        needs = {guest.key: policies.of(guest).depends_on for guest in guests}
        if not any(needs.values()) or not (connections.neighbours.configured or policies.may_watch):
            return
        here = [guest for guest in (await connections.known(connections.uris))[0] if not self._is_watched(guest)]
        here += guests
        for key, matches in needs.items():
            others = [match for match in matches if not any(match.covers(guest) for guest in here)]
            if others:
                self._wanted[key] = others

    def of(self, guest: Guest) -> Sequence[Match]:
        """Whom it needs elsewhere."""
        return self._wanted.get(guest.key, ())

    async def missing(self, matches: Iterable[Match]) -> list[Match]:
        """Those of them that nobody is who runs and is ready; not those that nobody is at all."""
        async with self._looking:
            if self._terms.clock() - self._looked_at >= POLL:
                await self._look()
                self._looked_at = self._terms.clock()
        return [match for match in matches if self._is_missing(match)]

    def limit(self, match: Match) -> float:
        """How long it is waited for, in seconds."""
        meant = [self._readiness.limit(guest) for guest in self._known if match.covers(guest)]
        return max(meant, default=self._readiness.usual_limit)

    def _is_missing(self, match: Match) -> bool:
        meant = [guest for guest in self._running if match.covers(guest)]
        if meant:
            return not all(guest.key in self._ready for guest in meant)
        # Nobody is called so: the order has told of that.
        return not self._all_known or any(match.covers(guest) for guest in self._known)

    async def _look(self) -> None:
        connections = self._connections
        await connections.neighbours.open(quietly=True)
        beside = await self._inventory.neighbours(())
        known, complete = await connections.known([*connections.uris, *connections.neighbours.uris])
        self._known = [guest for guest in known if self._is_watched(guest)]
        self._all_known = complete and connections.neighbours.complete
        ours = [one for one in self._known if one.uri in connections.uris and one.state is not GuestState.OFF]
        self._running = [*beside, *ours]
        wanted = [match for matches in self._wanted.values() for match in matches]
        open_ = [guest for guest in self._running if guest.key not in self._ready]
        asked = [guest for guest in open_ if any(match.covers(guest) for match in wanted)]
        until, since = self._terms.clock() + READY, self._terms.clock()
        with suppress(TimeoutError):
            ready = await asyncio.gather(*(self._readiness.holds(one, until=until, since=since) for one in asked))
            self._ready |= {guest.key for guest, holds in zip(asked, ready, strict=True) if holds}

    def _is_watched(self, guest: Guest) -> bool:
        return is_watched(self._inventory.policies.of(guest))
