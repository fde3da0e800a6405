"""What a guest waits for between its turn and its start: it holds up nobody else meanwhile, and no wait is endless."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from lastcall.api.guests import Guest, Key
from lastcall.config.guest_settings import Match
from lastcall.config.policies import Policies
from lastcall.errors import Severity
from lastcall.formats.quantities import format_duration
from lastcall.guests.outside.needed_neighbours import NeededNeighbours
from lastcall.guests.starter import Starter
from lastcall.ordering.scheduler import Scheduler
from lastcall.persistence.state import StateFile
from lastcall.records.records import GuestHeld
from lastcall.records.stream import Stream
from lastcall.timing.budget import DELAY, NEEDS
from lastcall.timing.moment import Moment
from lastcall.timing.terms import Terms

POLL = 2.0  # seconds between two looks for what a guest needs


class StartWaits:
    """The waits of one restore. When `halt` has passed, nobody is waited for any more."""

    def __init__(
        self,
        scheduler: Scheduler,
        starter: Starter,
        policies: Policies,
        waiting: StateFile,
        stream: Stream,
        terms: Terms,
        halt: Moment,
        neighbours: NeededNeighbours,
    ) -> None:
        self._scheduler = scheduler
        self._policies = policies
        self._stream = stream
        self._terms = terms
        self._halt = halt
        self._starter = starter
        self._waiting = waiting
        self._neighbours = neighbours
        self._until: dict[Key, float] = {}

    async def before_start(self, guest: Guest) -> bool:
        """Wait until the guest may be started; returns whether that took any time."""
        waited = await self._for_neighbours(guest)
        return await self._delay(guest) or waited

    async def _for_neighbours(self, guest: Guest) -> bool:
        needed = self._neighbours.of(guest)
        if not needed:
            return False
        began = self._terms.clock()
        async with self._scheduler.aside(guest.key):
            await self._halt.bounds(self._until_neighbours_run(guest, needed, began))
        return True

    async def _until_neighbours_run(self, guest: Guest, needed: Sequence[Match], began: float) -> None:
        told, missing = False, needed
        while missing := await self._neighbours.missing(missing):
            over = [match for match in missing if self._terms.clock() >= began + self._neighbours.limit(match)]
            for match in over:
                waited = format_duration(round(self._terms.clock() - began))
                message = f"needs {match.called}, which was not ready within {waited}"
                remedy = "it is started all the same; look there"
                self._stream.problem("order", guest.name, message, remedy, Severity.WARNING)
            missing = [match for match in missing if match not in over]
            if not missing:
                return
            if not told:
                told, by = True, ", ".join(match.called for match in missing)
                until = self._stream.by(began + max(map(self._neighbours.limit, missing)))
                self._stream.emit(GuestHeld(at=self._stream.now(), guest=guest.key, by=by, until=until))
            await asyncio.sleep(POLL)

    async def _delay(self, guest: Guest) -> bool:
        wanted = self._policies.of(guest).start_delay
        if not wanted:
            return False
        seconds = min(wanted, self._terms.share(DELAY))
        if seconds < wanted:
            message = (
                f"start_delay is {format_duration(wanted)}; the restore has time for {format_duration(seconds)} of it"
            )
            self._stream.problem("restore", guest.name, message, "set a longer restore.deadline", Severity.WARNING)
        now = self._stream.now()
        self._stream.emit(GuestHeld(at=now, guest=guest.key, by="its start_delay", until=round(now + seconds, 3)))
        async with self._scheduler.aside(guest.key):
            await self._halt.bounds(asyncio.sleep(seconds))
        return True

    async def for_needs(self, guest: Guest, lacks: str) -> str:
        """Wait for what it needs for its start; returns what is still missing when the time for that is over."""

        async def look() -> str:
            missing = (await self._starter.supply(guest)).missing
            return missing[0] if missing else ""

        return await self.until_there(guest, lacks, look)

    async def until_there(self, guest: Guest, lacks: str, look: Callable[[], Awaitable[str]]) -> str:
        """Wait for what it `lacks`, which is noted on the list; `look` says what is still missing."""
        # Once for each guest: what comes and goes must not take all of the time.
        until = self._until.setdefault(guest.key, self._terms.soon(NEEDS))
        self._stream.emit(GuestHeld(at=self._stream.now(), guest=guest.key, by=lacks, until=self._stream.by(until)))
        self._waiting.note_wait(guest.key, lacks)
        async with self._scheduler.aside(guest.key):
            pause = POLL
            while lacks and not self._halt.passed and self._terms.clock() < until:
                await self._halt.bounds(asyncio.sleep(min(pause, until - self._terms.clock())))
                asked = self._terms.clock()
                lacks = await look()
                # A disk that hangs keeps the worker that looks at it.
                pause = POLL if self._terms.clock() - asked < POLL else pause * 2
        if not lacks:  # what keeps it from its start now is something else
            self._waiting.note_wait(guest.key, "")
        return lacks
