"""After the host has woken: who was paused or saved for its sleep goes on, in the order of a restore; clocks, hooks,
report. Read it from top to bottom.

Whom somebody else has resumed, stopped or started meanwhile is left alone. Who cannot go on, or of whom nobody knows
whether it sleeps, stays noted: `lastcall status` tells of it, and `lastcall sleep end` tries again.
"""

import asyncio
from collections.abc import Sequence

from lastcall.api.guests import Guest, GuestState, Outcome
from lastcall.api.results import Report
from lastcall.config.policy.management import is_ours
from lastcall.config.settings import RestoreSettings
from lastcall.errors import Severity, in_words
from lastcall.guests.clock_sync import ClockSync
from lastcall.hooks.call import RunContext
from lastcall.hooks.dispatch import Hooks
from lastcall.hypervisor.ports import Hypervisor
from lastcall.ordering.graph import make_graph
from lastcall.ordering.scheduler import Scheduler
from lastcall.presence.inventory import Inventory
from lastcall.records.records import GuestBegun, GuestPlanned, RunInterrupted
from lastcall.records.stream import Stream
from lastcall.runs.bookkeeping import Bookkeeping, conclude
from lastcall.runs.sleep.going_on import AGAIN, GoingOn
from lastcall.runs.sleep.sleeping_guests import SleepingGuests
from lastcall.runs.sleep.turns import turns_of
from lastcall.timing.moment import Moment

_WOKEN = frozenset({Outcome.RESUMED, Outcome.STARTED})
_AWAKE = frozenset({Outcome.RESUMED, Outcome.STARTED, Outcome.PRESENT, Outcome.SKIPPED})


class Waking:
    """Lets guests go on that sleep, and sets the clocks of all.

    `host_stops`: it goes down at once. Those that are paused go on all the same, to be asked; those that were saved
    stay so until its next boot, and nothing else is done.
    """

    def __init__(
        self,
        context: RunContext,
        inventory: Inventory,
        hooks: Hooks,
        books: Bookkeeping,
        sleeping: SleepingGuests,
        going: GoingOn,
        clocks: ClockSync,
        settings: RestoreSettings,
        stream: Stream,
        hypervisor: Hypervisor,
        loop: asyncio.AbstractEventLoop,
        *,
        host_stops: bool,
    ) -> None:
        self._host_stops = host_stops
        self._context = context
        self._inventory, self._connections = inventory, inventory.connections
        self._hooks = hooks
        self._books = books
        self._sleeping = sleeping
        self._going, self._clocks, self._settings = going, clocks, settings
        self._stream, self._hypervisor, self._loop = stream, hypervisor, loop
        self._end = Moment(loop, context.terms.deadline.end)

    async def execute(self) -> Report:
        """Run it."""
        await self._connections.connect()
        everybody = await self._connections.active()
        await self._recall()
        sleepers = [sleeper.guest for sleeper in self._sleeping.known.values()]
        asleep = {guest.key for guest in sleepers}
        others = [guest for guest in everybody if guest.key not in asleep]
        self._context.guests = (*sleepers, *others)
        for guest in sleepers:
            self._stream.emit(GuestPlanned(at=self._stream.now(), guest=guest))
        # As they are listed: why one is paused is asked of those only that are.
        active = {guest.key for guest in everybody}
        await self._inventory.learn([*everybody, *(guest for guest in sleepers if guest.key not in active)])
        missed = [] if self._host_stops else others
        setting = self._loop.create_task(self._set_clocks(missed, connects=False))
        await self._end.bounds(self._wake(sleepers, others))
        self._account_for(sleepers)
        await self._keep(sleepers)
        woken = [guest for guest in sleepers if self._stream.story.result(guest.key).outcome in _WOKEN]
        await self._end.bounds(_done(setting))
        if not self._host_stops:
            await self._end.bounds(self._set_clocks(woken, connects=True))
            await self._hooks.fire("post_wake", until=self._context.terms.until)
        return conclude(self._stream, self._hypervisor)

    def interrupt(self) -> None:
        """Answer a signal: wait for nobody any more."""
        self._stream.emit(RunInterrupted(at=self._stream.now(), times=1))
        self._end.hasten()

    async def _recall(self) -> None:
        try:
            await self._sleeping.recall()
        except TimeoutError:
            message = "cannot be read in time: who sleeps is not known"
            self._stream.problem("state", self._sleeping.where, message, AGAIN)

    async def _wake(self, sleepers: Sequence[Guest], others: Sequence[Guest]) -> None:
        needs = make_graph([*sleepers, *others], self._inventory.policies, ()).needs
        limits = self._connections.limits(self._settings.parallel)
        scheduler = turns_of({guest.key for guest in sleepers}, needs, limits, self._loop)
        await asyncio.gather(*(self._contained(guest, scheduler) for guest in sleepers))

    async def _set_clocks(self, guests: Sequence[Guest], *, connects: bool) -> None:
        """Of those that have missed time; see `ClockSync.set_clock`."""
        if self._clocks.wanted_after_sleep:
            ours = [guest for guest in guests if is_ours(self._inventory.policies.of(guest))]
            ours = [guest for guest in ours if guest.state is GuestState.RUNNING]
            await asyncio.gather(*(self._clocks.set_clock(guest, connects=connects) for guest in ours))

    async def _contained(self, guest: Guest, scheduler: Scheduler) -> None:
        """Let one guest go on; whatever goes wrong with it stays with it, and those that need it go on."""
        try:
            await scheduler.turn(guest.key)
            self._stream.emit(GuestBegun(at=self._stream.now(), guest=guest.key))
            await self._going.go_on(self._sleeping.known[guest.key])
        except Exception as error:  # noqa: BLE001  the others are still to be woken
            self._stream.problem("internal", guest.name, in_words(error), "this is a bug in lastcall")
        finally:
            scheduler.done(guest.key)

    def _account_for(self, sleepers: Sequence[Guest]) -> None:
        for guest in sleepers:
            if not self._stream.story.decided(guest.key):
                self._going.decide(guest.key, Outcome.UNKNOWN, f"the run ended before it went on; {AGAIN}")

    async def _keep(self, sleepers: Sequence[Guest]) -> None:
        """Whoever goes on is noted no longer; who was saved and could not be started waits on the list of guests."""
        outcomes = {guest.key: self._stream.story.result(guest.key).outcome for guest in sleepers}
        saved = {key for key in outcomes if self._sleeping.known[key].how == "save"}
        awake = {key for key, outcome in outcomes.items() if outcome in _AWAKE}
        listed = self._going.not_started & saved
        if saved:
            back = (awake & saved) - self._going.owed
            self._books.drop(key for key in back if outcomes[key] is not Outcome.SKIPPED)
            await self._books.keep()
        for key in awake | listed:
            del self._sleeping.known[key]
        if awake or listed:
            try:
                await self._sleeping.keep()
            except (OSError, TimeoutError) as error:
                message = f"{in_words(error)}; who sleeps was not kept"
                self._stream.problem("state", self._sleeping.where, message, severity=Severity.WARNING)


async def _done(task: "asyncio.Task[None]") -> None:
    await task
