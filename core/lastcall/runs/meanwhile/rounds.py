"""Asking libvirt now and then: an event that was lost must not cost a guest its whole time."""

import asyncio
import contextlib
import math
from collections.abc import Container, Mapping

from lastcall.api.guests import GuestState, Key, Outcome
from lastcall.errors import LastcallError, in_words
from lastcall.guests.stop_guest import GuestStop
from lastcall.hypervisor.ports import Condition
from lastcall.presence.sight import Sight
from lastcall.records.stream import Stream
from lastcall.runs.meanwhile.latecomers import Latecomers
from lastcall.timing.budget import ROUND

CLOSEST = 0.5  # seconds between two rounds, at least


class Rounds:
    """Asks for guests that are to go off, for those that libvirt said nothing about when their time was up, and for
    those that were started since, unheard.

    `stops` and `under_way` are the run's, and go on changing.
    """

    def __init__(
        self,
        sight: Sight,
        stream: Stream,
        stops: Mapping[Key, GuestStop],
        under_way: Container[Key],
        late: Latecomers,
    ) -> None:
        self._sight, self._stream, self._late = sight, stream, late
        self._stops, self._under_way = stops, under_way
        self._asked = set[str]()  # URIs of connections that are being asked

    async def go(self) -> None:
        """Go round until it is cancelled."""
        async with asyncio.TaskGroup() as rounds:
            while True:
                await asyncio.sleep(self._pause)
                # Each connection for itself: guests of one were asked for no more than every ten seconds while
                # another hung.
                for uri in self._uris - self._asked:
                    self._asked.add(uri)
                    rounds.create_task(self._ask(uri))

    @property
    def _pause(self) -> float:
        """Seconds until the next round. Its question is one for all guests of a connection."""
        left = self._sight.last_hook.at - self._sight.loop.time()
        return max(CLOSEST, ROUND.of(None if left == math.inf else left))

    @property
    def _uris(self) -> set[str]:
        return {key[0] for key in self._stops}

    async def _ask(self, uri: str) -> None:
        try:
            await self._ask_connection(uri)
        except Exception as error:  # noqa: BLE001  asked again in a moment; ended in silence, it would help nobody
            self._stream.problem("internal", "this run", in_words(error), "this is a bug in lastcall")
        finally:
            self._asked.discard(uri)

    @property
    def _over(self) -> list[Key]:
        """Those whose stop is over."""
        return [key for key in self._stops if self._stream.story.decided(key) and key not in self._under_way]

    async def _ask_connection(self, uri: str) -> None:
        status = self._sight.status
        # Also those that nobody waits for yet: one that was off before its turn had others wait for it.
        running = [key for key in self._stops if key[0] == uri and status.ended(key) is None]
        try:
            # An event can be lost; who is missing here is asked about, and nobody counts as off by being missing.
            active = {guest.key for guest in await self._sight.hypervisor.active(uri)}
        except (LastcallError, TimeoutError):
            return
        for key in running:
            if key not in active:
                await self._sight.look_again(self._stops[key].guest)
        # Nor does anybody count as running by being listed: the list may be older than its end.
        again = [key for key in self._over if key in active and status.ended(key)]
        if self._late.seeks(uri):  # else all others run on, and are none of our business
            for key in active - self._stops.keys():
                status.confirm_start(key)
        for key in again:
            if await self._sight.look_again(self._stops[key].guest) not in {GuestState.OFF, GuestState.UNKNOWN}:
                status.confirm_start(key)
        if not self._late.voluntary:
            arriving = [key for key in self._over if key in active and self._stops[key].arrives]
            await asyncio.gather(*map(self._find_arrived, arriving))
        # A daemon that hung for a while answers now.
        story, until = self._stream.story, self._sight.loop.time() + ROUND.seconds
        unknown = [key for key in self._over if key[0] == uri and story.result(key).outcome is Outcome.UNKNOWN]
        await asyncio.gather(*(self._stops[key].account(until=until) for key in unknown))

    async def _find_arrived(self, key: Key) -> None:
        """One was left as it was migrating. Where it is all here by now, the host would take the power from it."""
        guest = self._stops[key].guest
        with contextlib.suppress(LastcallError, TimeoutError):
            facts = await self._sight.hypervisor.facts(guest.uri, [guest])
            if key in facts and facts[key].condition is not Condition.ARRIVING:
                self._late.ask_anew(key)
                self._sight.status.on_start(key)
