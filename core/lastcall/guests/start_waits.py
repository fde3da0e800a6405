"""What a guest waits for between its turn and its start: it holds up nobody else meanwhile, and no wait is endless."""

import asyncio

from lastcall.api.guests import Guest
from lastcall.config.policies import Policies
from lastcall.errors import Severity
from lastcall.formats.quantities import format_duration
from lastcall.ordering.scheduler import Scheduler
from lastcall.records.records import GuestHeld
from lastcall.records.stream import Stream
from lastcall.timing.budget import DELAY
from lastcall.timing.moment import Moment
from lastcall.timing.terms import Terms


class StartWaits:
    """The waits of one restore. When `halt` has passed, nobody is waited for any more."""

    def __init__(self, scheduler: Scheduler, policies: Policies, stream: Stream, terms: Terms, halt: Moment) -> None:
        self._scheduler = scheduler
        self._policies = policies
        self._stream = stream
        self._terms = terms
        self._halt = halt

    async def before_start(self, guest: Guest) -> bool:
        """Wait until the guest may be started; returns whether that took any time."""
        return await self._delay(guest)

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
        self._stream.emit(GuestHeld(at=self._stream.now(), guest=guest.key, by="its start_delay"))
        async with self._scheduler.aside(guest.key):
            await self._halt.bounds(asyncio.sleep(seconds))
        return True
