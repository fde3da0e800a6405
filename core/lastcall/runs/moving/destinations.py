"""At which other hosts guests of a run may be instead of here, for whoever brings them back.

Written down before anybody is touched: a run that is killed in the middle of a migration leaves a guest of which
nobody knows on which of the two hosts it runs, and who starts it here might make it run twice.
"""

import asyncio
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from lastcall.api.guests import Ended, Guest, GuestState, Key, Outcome, host_of
from lastcall.api.results import GuestResult
from lastcall.errors import LastcallError, Severity
from lastcall.guests.requests.stop_request import Asker
from lastcall.hypervisor.ports import Hypervisor
from lastcall.planning.plan import Plan, PlannedGuest
from lastcall.records.stream import Stream
from lastcall.runs.bookkeeping import Bookkeeping
from lastcall.timing.budget import STEP
from lastcall.timing.terms import Terms

_SOMEWHERE = frozenset({Ended.MIGRATED, Ended.VANISHED})
_NOT_THERE = frozenset({GuestState.OFF, GuestState.UNKNOWN})


class Destinations:
    """Knows them for one run, and keeps them in its books."""

    def __init__(
        self, hypervisor: Hypervisor, asker: Asker, books: Bookkeeping, stream: Stream, terms: Terms, *, run: str
    ) -> None:
        self._hypervisor, self._asker, self._books = hypervisor, asker, books
        # Already now, where they will be asked: what does so loads before anybody waits for this run.
        self._earlier = {key: entry.where for key, entry in books.state.entries.items() if entry.where}
        self._others = hypervisor.other_hosts if self._earlier else None
        self._stream, self._terms, self._run = stream, terms, run
        self._cut_off: dict[Key, tuple[str, ...]] = {}
        self._stays: set[Key] = set()  # who does not come back once it has moved

    async def learn(self, plan: Plan) -> Plan:
        """The plan without those that an earlier run has begun to move, where they may run on another host by now.

        What is left of them here stands still. Resumed, or asked to stop, it would be a second one of them.
        """
        entries, doubtful = self._books.state.entries, dict[Key, tuple[str, ...]]()
        for one in plan.guests:
            entry = entries.get(one.guest.key)
            if entry and entry.where and entry.run != self._run and one.guest.state is GuestState.PAUSED:
                doubtful[one.guest.key] = entry.where
        guests = [one.guest for one in plan.guests if one.guest.key in doubtful]
        whys = await asyncio.gather(*(self._why_left(guest, doubtful[guest.key]) for guest in guests))
        left = {guest.key: why for guest, why in zip(guests, whys, strict=True) if why}
        for guest in guests:
            if guest.key not in left:  # every host has said that it is off there
                self._earlier.pop(guest.key, None)
        self._cut_off |= {key: doubtful[key] for key in left}
        return replace(plan, guests=tuple(_left(one, left.get(one.guest.key, "")) for one in plan.guests))

    async def _why_left(self, guest: Guest, where: tuple[str, ...]) -> str:
        found = await asyncio.gather(*(self._ask(uri, guest) for uri in where))
        there = next((uri for uri, state in zip(where, found, strict=True) if state not in _NOT_THERE), None)
        if there:
            why = f"it runs on {host_of(there)} by now, and is not touched here"
        else:
            silent = [host_of(uri) for uri, state in zip(where, found, strict=True) if state is GuestState.UNKNOWN]
            why = f"a move of it was cut off, and {' and '.join(silent)} does not say whether it runs there"
            if not silent:
                return ""
        remedy = f"`virsh -c {there or where[0]} list --all`, and force off what is left of it on the other host"
        self._stream.problem("guest", guest.name, why, remedy, Severity.ERROR)
        return why

    async def _ask(self, uri: str, guest: Guest) -> GuestState:
        until, others = self._terms.soon(STEP), self._others or self._hypervisor.other_hosts
        try:
            async with asyncio.timeout_at(None if until == math.inf else until):
                return (await others.ask(uri, guest)).state
        except (LastcallError, TimeoutError):
            return GuestState.UNKNOWN

    async def ahead(self, plan: Plan) -> Mapping[Key, tuple[str, ...]]:
        """Where each guest may be before this run is over."""
        going = [one for one in plan.guests if any(step.moves for step in one.steps) and not one.left_because]
        found = await asyncio.gather(*map(self._targets, going))
        return {one.guest.key: where for one, where in zip(going, found, strict=True) if where} | self._cut_off

    async def _targets(self, planned: PlannedGuest) -> tuple[str, ...]:
        where = list[str]()
        for step in (one for one in planned.steps if one.moves):
            why = await self._asker.unfit(planned.guest, step)
            # A method that fails over this may do better later: what is noted too much is only asked for too much.
            if not why or isinstance(why, LastcallError):
                where += step.targets
            if not step.comes_back:
                self._stays.add(planned.guest.key)
        return tuple(dict.fromkeys(where))

    def keeps(self, key: Key) -> bool:
        """Whether what the list says of a guest has to stay there: nobody knows where it is."""
        return key in self._cut_off

    def doubts(self, key: Key) -> bool:
        """Whether a host that has not answered since may run a guest a second time, however it fares here."""
        return key in self._earlier

    def settle(self, results: Mapping[Key, GuestResult]) -> bool:
        """Note where guests are by what became of them; returns whether anything is new."""
        entries, news = self._books.state.entries, False
        for key, result in results.items():
            if key not in entries or key in self._cut_off:
                continue
            where = self._place(key, result)
            if where is not None and where != entries[key].where:
                self._books.state.note_place(key, where)
                news = True
        return news

    def _place(self, key: Key, result: GuestResult) -> tuple[str, ...] | None:
        """Where else than here it may be; None = by this run it may be anywhere that is noted."""
        # Nobody but the hosts themselves can say that it is not there.
        earlier = self._earlier.get(key, ())
        if result.outcome is Outcome.MOVED:
            return tuple(dict.fromkeys((result.moved_to, *earlier))) if result.moved_to else None
        off_here = result.ended is not None and result.ended not in _SOMEWHERE
        return earlier if off_here or not self.has_sent(key) else None

    def has_sent(self, key: Key) -> bool:
        """Whether this run has begun to move a guest."""
        heard = [method for method, _ in self._stream.story.heard(key)]
        return any(self._asker.outcome(method) is Outcome.MOVED for method in heard)

    def gone_for_good(self, results: Mapping[Key, GuestResult]) -> Iterable[Key]:
        """Who has moved and is not to come back."""
        return [key for key, one in results.items() if one.outcome is Outcome.MOVED and key in self._stays]


def _left(planned: PlannedGuest, why: str) -> PlannedGuest:
    return replace(planned, steps=(), last_resort=(), left_because=why) if why else planned
