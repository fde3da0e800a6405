"""The end of a shutdown run: the last look, what became of everybody, and who is to be brought back."""

import asyncio
import contextlib
import math
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace

from lastcall.api.guests import Ended, Guest, GuestState, Key, Outcome
from lastcall.api.results import GuestResult
from lastcall.errors import LastcallError
from lastcall.guests.rungs.on_poweroff import set_on_poweroff
from lastcall.guests.stop_guest import GuestStop
from lastcall.planning.plan import SAVE
from lastcall.presence.own_stops import OwnStops
from lastcall.presence.sight import Sight
from lastcall.records.stream import Stream
from lastcall.runs.bookkeeping import Bookkeeping
from lastcall.runs.moving.destinations import Destinations
from lastcall.timing.budget import LAST_LOOK
from lastcall.timing.phases import Phases

STALE = 0.5  # seconds after which the last look is one no more
_RUNS_ON = frozenset({Outcome.LEFT, Outcome.SKIPPED})


class Closing:
    """Accounts for guests when nothing more is going to be asked of them. `stops` are the run's."""

    def __init__(
        self,
        sight: Sight,
        stream: Stream,
        phases: Phases,
        books: Bookkeeping,
        stops: Mapping[Key, GuestStop],
        own_stops: OwnStops,
        destinations: Destinations,
    ) -> None:
        self._sight, self._stream, self._phases, self._books = sight, stream, phases, books
        self._own_stops, self._destinations = own_stops, destinations
        self._stops = stops
        self._replaced = books.restarting()  # whose on_poweroff an earlier run has left with what it had made of it
        self._asked_at = -math.inf  # when the last look began

    async def account_for(self, guests: Sequence[Guest]) -> None:
        """Decide for everybody, also those that the end of the run overtook, and write down who is to come back."""
        ours = [guest for guest in guests if guest.key in self._stops]
        await self._ask_once_more(ours)
        settled = await self._put_back([guest.key for guest in ours])
        results = {guest.key: self._stream.story.result(guest.key) for guest in guests}
        changed = self._books.restarting() - {*settled}
        gone = [key for key, result in results.items() if self._leaves_the_list(key, result, stays=key in changed)]
        gone += self._destinations.gone_for_good(results)
        moved = self._destinations.settle(results)
        left = [key for key, result in results.items() if result.outcome in _RUNS_ON and key not in gone]
        if gone or left or settled or moved:
            self._books.drop(gone)
            self._books.mark_left(left)
            self._books.settle(settled)
            await self._books.keep()
        await self._books.remember_times()

    async def note_own_stops(self, guests: Sequence[Guest], run: str) -> None:
        """Whom libvirt has stopped by itself, before anybody could list them, is to come back, too."""
        gone = await self._own_stops.notice(guests, self._books.state.entries)
        if gone:
            running = [replace(guest, state=GuestState.RUNNING) for guest in gone]
            self._books.list_guests(running, run=run, named=False)
            await self._books.keep()

    async def catch_up(self) -> None:
        """A disk that hangs takes its seconds, in which one may have gone off, or somebody may have started one."""
        if self._sight.loop.time() - self._asked_at > STALE:
            # Of everybody: the event of a start was lost, and whoever was off before the disk hung was called stopped.
            ours = [stop.guest for stop in self._stops.values() if not stop.watches]
            await self._ask_once_more(ours, off=True)
        # And while one connection hung over that, events of the others told of more.
        until, ended, story = self._phases.terms.soon(LAST_LOOK), self._sight.status.ended, self._stream.story
        late = [key for key in self._stops if bool(ended(key)) != bool(story.result(key).ended)]
        await asyncio.gather(*(self._stops[key].account(until=until) for key in late if self._is_open(key)))

    async def _put_back(self, keys: Sequence[Key]) -> list[Key]:
        """Undo what was changed of guests that run on: by this run, where they were cut short, and by an earlier one,
        where this run has not come to them. Returns who needs nothing (any more)."""
        running = [key for key in keys if not self._sight.status.ended(key)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._until):
                await asyncio.gather(*map(self._put_back_one, running))
        marked = self._books.restarting()
        return [key for key in keys if key in marked and (self._sight.status.ended(key) or self._is_its_own(key))]

    async def _put_back_one(self, key: Key) -> None:
        stop = self._stops[key]
        if stop.changed:
            await stop.put_back()
        elif not self._is_its_own(key):
            sight = self._sight
            if await set_on_poweroff(sight.hypervisor, self._stream, stop.guest, "restart"):
                self._replaced.discard(key)

    def _is_its_own(self, key: Key) -> bool:
        """Whether the on_poweroff of a guest that runs on is as it was before any run."""
        # Before each request it is replaced, and put back after the last; before a save it is left as it is.
        asked = {method for method, _ in self._stream.story.heard(key)} - {SAVE}
        return not self._stops[key].changed and (bool(asked) or key not in self._replaced)

    @property
    def _until(self) -> float | None:
        until = self._phases.terms.soon(LAST_LOOK)
        return None if until == math.inf else until

    async def _ask_once_more(self, guests: Sequence[Guest], *, off: bool = False) -> None:
        """No verdict is final while the run lasts: who was still running then may be off by now, and who was `off` may
        run."""
        by_uri = defaultdict[str, list[Guest]](list)
        for guest in guests:
            by_uri[guest.uri].append(guest)
        self._asked_at = self._sight.loop.time()
        # Each connection for itself: one that hung took the time in which the guests of another were to be asked for.
        # Who was off may run again: an interrupted run did not look for such.
        off = off or self._phases.asks_no_more
        open_ = {uri: some for uri, some in by_uri.items() if off or any(self._needs_look(one.key) for one in some)}
        await asyncio.gather(*(self._ask_for(uri, some) for uri, some in open_.items()))

    def _needs_look(self, key: Key) -> bool:
        return not self._stream.story.decided(key) or self._is_open(key)

    async def _ask_for(self, uri: str, guests: Sequence[Guest]) -> None:
        """Ask for guests of one connection: in one listing, then one by one whom that leaves in doubt."""
        until, listed = self._phases.terms.soon(LAST_LOOK), None
        if any(self._stream.story.decided(guest.key) for guest in guests):
            listed = await self._active(uri, until)
        runs = {guest.key: guest.state for guest in listed or ()}
        await asyncio.gather(*(self._doubt(guest, until) for guest in guests if self._is_doubtful(guest.key, runs)))
        open_ = [guest for guest in guests if self._needs_look(guest.key)]
        again = [guest.key for guest in open_ if not self._still_runs(guest, None if listed is None else runs)]
        for key in runs.keys() & set(again):
            if self._sight.status.ended(key) is None:
                self._stops[key].leave(runs[key])
                again.remove(key)
        await asyncio.gather(*(self._stops[key].account(until=until) for key in again))

    def _is_doubtful(self, key: Key, runs: Container[Key]) -> bool:
        """It was off and is listed, so somebody has started it, or the list is older than its end; or it was away and
        may be back."""
        ended = self._sight.status.ended(key) if self._stream.story.decided(key) else None
        return ended is not None and (ended is Ended.MIGRATED or key in runs)

    async def _doubt(self, guest: Guest, until: float) -> None:
        # The event of its start was lost, and a run that was interrupted called it stopped.
        if await self._sight.look_again(guest, until) not in {GuestState.OFF, GuestState.UNKNOWN}:
            self._sight.status.confirm_start(guest.key)

    def _is_open(self, key: Key) -> bool:
        """Whether what was decided may not hold any more, by what was heard since or by what was never known."""
        result, off = self._stream.story.result(key), self._sight.status.ended(key) is not None
        if result.outcome in _RUNS_ON:
            # What becomes of one that is left alone is not ours to tell.
            return result.asked is not None or result.outcome is Outcome.LEFT or not self._stops[key].leaves
        return result.outcome is Outcome.UNKNOWN or (result.ended is not None and not off)

    def _still_runs(self, guest: Guest, runs: Container[Key] | None) -> bool:
        """Whether the verdict stands: it was seen running, or was so a moment ago and libvirt says nothing (None)."""
        if not self._stream.story.decided(guest.key) or self._sight.status.ended(guest.key):
            return False
        seen, result = runs is None or guest.key in runs, self._stream.story.result(guest.key)
        return seen and result.outcome in _RUNS_ON and result.ended is None  # one that had migrated away is back

    async def _active(self, uri: str, until: float) -> Sequence[Guest] | None:
        try:
            async with asyncio.timeout_at(None if until == math.inf else until):
                return await self._sight.hypervisor.active(uri)
        except (LastcallError, TimeoutError):
            return None

    def _leaves_the_list(self, key: Key, result: GuestResult, *, stays: bool) -> bool:
        """Who was migrated away, or is in the middle of that, and not by us, runs elsewhere by the next boot. By hand,
        who runs on and was not even asked stays as it is, as far as anybody knows; a host that goes down takes the
        power from it all the same, and it has to come back. `stays`: something of it is to be undone yet.
        """
        tried = self._stream.story.tried(key)
        runs_on = result.outcome in _RUNS_ON or (result.outcome is Outcome.UNKNOWN and not tried)
        unasked = runs_on and result.asked is None
        if result.outcome is Outcome.MOVED or self._destinations.keeps(key):
            return False
        stays = stays or self._destinations.doubts(key)
        goes = (self._phases.voluntary and unasked) or self._is_on_two_hosts(key, result)
        return result.ended is Ended.MIGRATED or (goes and not stays)

    def _is_on_two_hosts(self, key: Key, result: GuestResult) -> bool:
        arrives = result.outcome is Outcome.LEFT and key in self._stops and self._stops[key].arrives
        return arrives and not self._destinations.has_sent(key)
