"""Before the host sleeps: connect, hooks, then who is to be paused or saved, in the order of a shutdown. Read it from
top to bottom.

Most guests are left as they are: they stand still with their host. Whatever fails leaves its guest running, which is
told, and the host sleeps all the same.
"""

import asyncio
from collections.abc import Sequence

from lastcall.api.guests import Guest, Outcome
from lastcall.api.results import Report
from lastcall.errors import in_words
from lastcall.hooks.call import RunContext
from lastcall.hooks.dispatch import Hooks
from lastcall.ordering.graph import make_graph
from lastcall.ordering.scheduler import Scheduler
from lastcall.persistence.power.sleepers import Sleeper
from lastcall.presence.inventory import Inventory
from lastcall.presence.sight import Sight
from lastcall.records.records import GuestPlanned, RunInterrupted
from lastcall.records.stream import Stream
from lastcall.runs.bookkeeping import conclude
from lastcall.runs.sleep.falling_asleep import FallingAsleep
from lastcall.runs.sleep.noting import Noting
from lastcall.runs.sleep.turns import turns_of
from lastcall.timing.budget import ENDING, PRE_SLEEP, WAKEFUL


class GoingToSleep:
    """Pauses and saves guests, as their `sleep` says. `parallel`: guests moving at once, 0 = no limit."""

    def __init__(
        self,
        context: RunContext,
        inventory: Inventory,
        hooks: Hooks,
        noting: Noting,
        falling: FallingAsleep,
        sight: Sight,
        stream: Stream,
        *,
        parallel: int,
    ) -> None:
        self._context, self._terms = context, context.terms
        self._inventory, self._connections = inventory, inventory.connections
        self._hooks = hooks
        self._noting, self._falling = noting, falling
        self._sight, self._loop = sight, sight.loop
        self._stream = stream
        self._parallel = parallel
        self._interrupted = False

    async def execute(self) -> Report:
        """Run it."""
        await self._connections.connect()
        everybody = await self._connections.active()
        self._context.guests = tuple(everybody)
        await self._inventory.learn(everybody)
        chosen = [guest for guest in everybody if self._falling.how(guest)]
        for guest in chosen:
            self._stream.emit(GuestPlanned(at=self._stream.now(), guest=guest))
        await self._hooks.fire("pre_sleep", until=self._terms.soon(PRE_SLEEP))
        going = [guest for guest in chosen if self._falling.may_go(guest, self._inventory.facts.get(guest.key))]
        if going:
            going = await self._noted(going)
        if going:
            await self._see_to_sleep(everybody, going)
            await self._noting.end({guest.key: self._stream.story.result(guest.key).outcome for guest in going})
        return conclude(self._stream, self._sight.hypervisor)

    def interrupt(self) -> None:
        """Answer a signal: nobody else is paused or saved."""
        self._interrupted = True
        self._stream.emit(RunInterrupted(at=self._stream.now(), times=1))

    async def _noted(self, guests: Sequence[Guest]) -> list[Guest]:
        """Those of these that are noted; the others are left."""
        refused = await self._noting.begin([Sleeper.of(guest, self._falling.how(guest) or "pause") for guest in guests])
        for guest in guests:
            if guest.key in refused:
                self._falling.leave(guest, refused[guest.key])
        return [guest for guest in guests if guest.key not in refused]

    async def _see_to_sleep(self, everybody: Sequence[Guest], going: Sequence[Guest]) -> None:
        keys = {guest.key for guest in going}
        waits = make_graph(everybody, self._inventory.policies, ()).needed_by
        scheduler = turns_of(keys, waits, self._connections.limits(self._parallel), self._loop)
        until = self._terms.deadline.end - self._terms.share(WAKEFUL)
        tasks = {self._loop.create_task(self._contained(guest, scheduler, until)) for guest in going}
        left = self._terms.left()
        # What has become of them is to be noted as well.
        await asyncio.wait(tasks, timeout=None if left is None else left - self._terms.share(ENDING))
        for task in tasks:
            task.cancel()
        for guest in going:
            if not self._stream.story.decided(guest.key):
                self._falling.end(guest, Outcome.UNKNOWN, "it is not known whether it sleeps")

    async def _contained(self, guest: Guest, scheduler: Scheduler, until: float) -> None:
        """See to one guest; whatever goes wrong with it stays with it, and those that wait for it go on."""
        try:
            await scheduler.turn(guest.key)
            if self._interrupted or self._loop.time() >= until:
                self._falling.leave(guest, "interrupted" if self._interrupted else "there was no time left")
            else:
                await self._falling.fall_asleep(guest, until)
        except Exception as error:  # noqa: BLE001  the others are still to be seen to
            self._stream.problem("internal", guest.name, in_words(error), "this is a bug in lastcall")
        finally:
            scheduler.done(guest.key)
