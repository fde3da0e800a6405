"""The restore run: the list of guests, connect, hooks, start, wait until ready, report. Read it from top to bottom."""

import asyncio
import contextlib
import math
from collections.abc import Sequence

from lastcall.api.guests import Outcome
from lastcall.api.results import Report
from lastcall.errors import Severity, in_words
from lastcall.formats.values import value
from lastcall.guests.clock_sync import ClockSync
from lastcall.guests.outside.needed_neighbours import NeededNeighbours
from lastcall.guests.readiness import Readiness
from lastcall.guests.returning.way_back import WayBack
from lastcall.guests.start_guest import GuestStart, Starting
from lastcall.guests.start_waits import StartWaits
from lastcall.guests.starter import Starter
from lastcall.hooks.call import RunContext
from lastcall.hooks.dispatch import Hooks
from lastcall.hypervisor.ports import Hypervisor
from lastcall.ordering.nodes import names_of
from lastcall.ordering.queue import TurnQueue
from lastcall.ordering.scheduler import Scheduler
from lastcall.persistence.waiting.entry import Entry
from lastcall.planning.forecast import chains
from lastcall.presence.inventory import Inventory
from lastcall.records.records import GuestPlanned, RunInterrupted
from lastcall.records.stream import Stream
from lastcall.runs.bookkeeping import Bookkeeping, conclude
from lastcall.runs.fleet.lock_return import LockReturn
from lastcall.runs.meanwhile.charge import ChargeWait
from lastcall.runs.returning.choice import RestorePlanning, ReturnChoice
from lastcall.timing.budget import LAST_LOOK
from lastcall.timing.deadline import Deadline
from lastcall.timing.moment import Moment

# Outcomes of guests that may run all the same, and that the next boot owes their start where they do not.
_OPEN = frozenset({Outcome.FAILED, Outcome.UNKNOWN})


@value
class StartTools:
    """What starts guests, waits until they are ready, and sets their clocks."""

    starter: Starter
    readiness: Readiness
    clocks: ClockSync


class Restore:
    """Starts guests again: all that wait and are not parked, or those chosen (parked ones too).

    At boot it starts those that are due from the boot just before this one, and those that are to run always. Whatever
    waits from earlier boots may run elsewhere by now: that is for a person to decide.
    """

    def __init__(
        self,
        wanted: RestorePlanning,
        context: RunContext,
        inventory: Inventory,
        tools: StartTools,
        hooks: Hooks,
        books: Bookkeeping,
        stream: Stream,
        hypervisor: Hypervisor,
        loop: asyncio.AbstractEventLoop,
        charge: ChargeWait | None = None,
        lock: LockReturn | None = None,
    ) -> None:
        self._charge, self._lock = charge, lock
        self._wanted, self._settings = wanted, wanted.settings
        self._context = context
        self._inventory, self._connections = inventory, inventory.connections
        self._tools = tools
        self._hooks = hooks
        self._books, self._state = books, books.state
        self._choice = ReturnChoice(wanted, books.state, inventory, run=context.id, boot_id=books.boot_id)
        self._stream = stream
        self._hypervisor = hypervisor
        self._loop = loop
        self._end = Moment(loop, context.terms.deadline.end)
        self._halt = Moment(loop, math.inf)  # from then on nobody else is started
        self._insists = wanted.insists
        self._cut_off = False  # somebody was not come to

    async def execute(self) -> Report:
        """Run it; raises UsageError where one is chosen that is not on the list."""
        first = self._wanted.at_boot and self._choice.is_first_of_boot()
        entries = self._choice.listed()
        if entries and not await self._battery_is_charged():
            return conclude(self._stream, self._hypervisor)
        if entries or first:
            watched = self._connections.neighbours.open(quietly=True)
            await asyncio.gather(self._connections.connect(entry.uri for entry in entries), watched)
        if first:
            listed = bool(entries)
            entries += await self._choice.always_running()
            await self._books.keep(begun=False)
            if entries and not listed and not await self._battery_is_charged():
                return conclude(self._stream, self._hypervisor)
        # With nobody to start, too: who mounts a volume in pre_restore does it at every boot.
        starts = await self._plan(entries)
        if await self._announce() and starts:
            await self._start_everybody(starts)
        await self._account_for_everybody(starts)
        await self._tell_the_end()
        # Only now is this boot served. libvirt-guests deletes its list also where a connection did not
        # answer, and those guests are lost for good.
        if first and self._connections.complete and not self._halt.passed:
            self._state.restored_in = self._books.boot_id
            await self._books.keep()
        await self._let_others_reboot(starts)
        return conclude(self._stream, self._hypervisor)

    async def _battery_is_charged(self) -> bool:
        """Wait until it is, at boot; False where the run was told to end meanwhile. Everybody stays on the list then.

        A host that starts its guests on a battery that is almost empty has to stop them in a minute, and has no minute.
        """
        if self._charge:
            deadline = self._context.terms.deadline
            self._count_by(deadline.since(-self._charge.bound))
            waited = await self._charge.wait(self._halt)
            if not self._halt.passed:
                self._count_by(deadline.since(-waited))
        return not self._halt.passed

    def _count_by(self, deadline: Deadline) -> None:
        self._context.terms.change(deadline)
        self._end.move(deadline.end)

    def insist(self) -> bool:
        """Answer a first Ctrl-C where those on the list were stopped a moment ago and are to come back all the same."""
        insists, self._insists = self._insists, False
        if insists:
            self._stream.problem(
                "signal",
                "this run",
                "goes on: those that were stopped are brought back",
                "again to start nobody else; the rest stays on the list",
                Severity.WARNING,
            )
        return insists

    def interrupt(self) -> None:
        """Answer a signal: start nobody else and wait for those being started; at the second one stop waiting.

        At boot the first one is enough: it comes from systemd, and the shutdown that follows waits for this.
        """
        again = self._halt.passed
        if again or self._wanted.at_boot:
            self._end.hasten()
        self._stream.emit(RunInterrupted(at=self._stream.now(), times=2 if again else 1))
        if again:
            return
        self._halt.hasten()
        self._stream.problem(
            "signal",
            "this run",
            "interrupted: nobody else is started; the rest stays on the list",
            "again to stop waiting",
        )

    async def _plan(self, entries: Sequence[Entry]) -> list[GuestStart]:
        """Whom each guest needs: the same graph as at the shutdown, forward."""
        guests = [entry.guest for entry in entries]
        self._context.guests = tuple(guests)
        for guest in guests:
            self._stream.emit(GuestPlanned(at=self._stream.now(), guest=guest))
        await self._inventory.learn(guests)
        limited = self._context.terms.deadline.end != math.inf
        graph = (await self._inventory.plan(guests, self._settings.parallel, limited=limited)).graph
        self._stream.problems(graph.problems)
        lengths = chains(graph.needs, {entry.guest.key: 1.0 for entry in entries})
        limits = self._connections.limits(self._settings.parallel)
        # Long chains first, as the longest one decides when everybody is back.
        queue = TurnQueue(graph.needs, limits, lambda key: -lengths.get(key, 0.0))
        neighbours = NeededNeighbours(self._inventory, self._tools.readiness, self._context.terms)
        await neighbours.prepare(guests)
        starting = self._starting(Scheduler(queue, self._loop), neighbours)
        names = {entry.guest.key: entry.name for entry in entries}
        return [GuestStart(starting, entry, names_of(graph.needs[entry.guest.key], names)) for entry in entries]

    def _starting(self, scheduler: Scheduler, neighbours: NeededNeighbours) -> Starting:
        terms = self._context.terms
        waits = StartWaits(
            scheduler, self._tools.starter, self._inventory.policies, self._state, self._stream, terms, self._halt,
            neighbours,
        )  # fmt: skip
        way_back = WayBack(
            self._hypervisor.other_hosts, self._tools.starter, waits, self._inventory.policies, self._settings,
            self._stream,
        )  # fmt: skip
        return Starting(
            scheduler, self._tools.starter, way_back, waits, self._tools.readiness, self._tools.clocks, self._hooks,
            self._state, self._stream, terms, self._halt, self._wanted.fresh,
        )  # fmt: skip

    async def _announce(self) -> bool:
        """Fire pre_restore; False when a plugin aborts the run. Nothing is lost then: the list stays."""
        fired = await self._hooks.fire("pre_restore", until=self._context.terms.until)
        if fired.verdict != "abort":
            return True
        self._cut_off = True
        self._stream.problem("hook", "this run", f"aborted before any guest was started, by {fired.because}")
        return False

    async def _start_everybody(self, starts: Sequence[GuestStart]) -> None:
        saving = self._loop.create_task(self._save_now_and_then())
        guests = [self._loop.create_task(self._contained(start)) for start in starts]
        try:
            await self._end.bounds(_all(guests))
        finally:
            for task in (saving, *guests):
                task.cancel()
            await asyncio.wait({saving, *guests})

    async def _contained(self, start: GuestStart) -> None:
        """Start one guest; whatever goes wrong with it, in our own code too, stays with it."""
        try:
            await start.start()
        except Exception as error:  # noqa: BLE001  the others still have to be started
            self._stream.problem("internal", start.guest.name, in_words(error), "this is a bug in lastcall")

    async def _save_now_and_then(self) -> None:
        """Keep the list on disk near the truth; an entry too many does no harm, the guest is then found present."""
        written = dict(self._state.entries)
        while True:
            await asyncio.sleep(1.0)
            if written != self._state.entries:
                written = dict(self._state.entries)
                await self._books.keep()

    async def _account_for_everybody(self, starts: Sequence[GuestStart]) -> None:
        for start in starts:
            if not self._stream.story.decided(start.guest.key):
                self._cut_off = True
                start.decide(Outcome.UNKNOWN, "the run ended before it was back; it stays on the list")
        if not self._halt.passed:  # else a shutdown waits for the end of this
            await self._look_once_more(starts)
        if self._wanted.at_boot:
            self._state.note_missed(start.guest.key for start in starts if self._is_open(start))
        self._state.end_return()
        await self._books.keep()

    async def _look_once_more(self, starts: Sequence[GuestStart]) -> None:
        """No verdict is final while the run lasts: who was called failed, as libvirt did not answer, may run by now."""
        open_ = [start for start in starts if self._is_open(start)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._context.terms.share(LAST_LOOK)):
                await asyncio.gather(*(start.look_again() for start in open_))

    def _is_open(self, start: GuestStart) -> bool:
        return self._stream.story.result(start.guest.key).outcome in _OPEN

    async def _let_others_reboot(self, starts: Sequence[GuestStart]) -> None:
        """Give back the lock by which this host went down, where all are back; see `give_back_once_all_are_back`."""
        if self._lock is None or self._halt.passed:  # who ends a restore is a shutdown of the host as a rule
            return
        results = [self._stream.story.result(start.guest.key) for start in starts]
        complete = self._connections.complete and not self._cut_off
        everybody_by_hand = not (self._wanted.at_boot or self._wanted.chosen)
        await self._lock.after(results, self._state, everybody_by_hand=everybody_by_hand, complete=complete)

    async def _tell_the_end(self) -> None:
        report = self._stream.story.report()
        await self._hooks.fire("post_restore", until=self._context.terms.until, report=report)


async def _all(tasks: Sequence["asyncio.Task[None]"]) -> None:
    await asyncio.wait(tasks)
