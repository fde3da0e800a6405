"""The shutdown run: connect, plan, remember, hooks, guests, report. Read it from top to bottom."""

import asyncio
import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import field

from lastcall.api.guests import Guest, GuestState, Key
from lastcall.api.results import Report
from lastcall.errors import Severity, UsageError, in_words
from lastcall.formats.values import value
from lastcall.guests.busy.busy_guests import BusyGuests
from lastcall.guests.rungs.ladder import Ladder
from lastcall.guests.stop_guest import GuestStop
from lastcall.guests.stopping import Stopping
from lastcall.hooks.call import RunContext
from lastcall.hooks.dispatch import Hooks
from lastcall.hypervisor.ports import Condition
from lastcall.ordering.entrance import Entrance
from lastcall.ordering.graph import make_graph
from lastcall.ordering.nodes import Edges, names_of, without
from lastcall.ordering.queue import TurnQueue
from lastcall.ordering.scheduler import Scheduler
from lastcall.planning.forecast import chains
from lastcall.planning.plan import Plan, PlannedGuest
from lastcall.planning.selection import EVERYBODY, Selection
from lastcall.planning.unforced import BRINGS_BACK
from lastcall.planning.watched import who_goes_on
from lastcall.presence.inventory import Inventory
from lastcall.presence.lookup import choose_active
from lastcall.presence.own_stops import OwnStops
from lastcall.records.records import GuestPlanned
from lastcall.runs.bookkeeping import Bookkeeping, conclude
from lastcall.runs.closing import Closing
from lastcall.runs.meanwhile.latecomers import Latecomers
from lastcall.runs.meanwhile.power_off import PowerOff
from lastcall.runs.meanwhile.rounds import Rounds
from lastcall.runs.meanwhile.steered import Steered
from lastcall.runs.moving.destinations import Destinations
from lastcall.runs.return_list import ReturnList
from lastcall.threads.wakeup import Wakeup
from lastcall.timing.budget import STEP
from lastcall.timing.phases import Phases


@value(kw_only=True)
class ShutdownPlanning:
    """What a shutdown is asked for and configured to be: who is chosen, how many at once, and `pre_budget` (s).

    `stages`: by which stage of an outage guests are shed, in words. `spares_neighbours`: nobody is stopped where a
    neighbour's guest goes on that needs one of them.
    """

    chosen: Selection = EVERYBODY
    stages: Mapping[Key, str] = field(default_factory=dict[Key, str])
    parallel: int = 0
    pre_budget: float = math.inf
    spares_neighbours: bool = False


class Shutdown(Steered):
    """Stops guests: all active ones, or those chosen."""

    def __init__(
        self,
        wanted: ShutdownPlanning,
        context: RunContext,
        inventory: Inventory,
        phases: Phases,
        ladder: Ladder,
        hooks: Hooks,
        books: Bookkeeping,
        power_off: PowerOff,
    ) -> None:
        self._wanted = wanted
        self._context = context
        self._inventory = inventory
        self._ladder, self._sight = ladder, ladder.tools.sight
        self._hooks, self._power_off = hooks, power_off
        self._stream, self._status = ladder.tools.stream, self._sight.status
        self._stops: dict[Key, GuestStop] = {}
        self._under_way: dict[Key, asyncio.Task[None]] = {}
        self._watching: dict[Key, asyncio.Task[None]] = {}  # which the run does not wait for by itself
        connections, loop = inventory.connections, self._sight.loop
        late = Latecomers(
            connections, self._sight, self._stream, phases, self._stops, self._under_way, named=bool(wanted.chosen)
        )
        busy = BusyGuests(hooks, self._stream, context.terms, loop)
        super().__init__(
            phases, late, connections, books, busy, loop, run=context.id, notice=lambda: self._notice(("", ""))
        )
        self._rounds = Rounds(self._sight, self._stream, self._stops, self._under_way, late)
        own_stops = OwnStops(self._sight.hypervisor, inventory, self._stream, context.terms)
        self._targets = Destinations(
            self._sight.hypervisor, ladder.tools.asker, books, self._stream, context.terms, run=context.id
        )
        self._returning = ReturnList(
            books, self._targets, late, phases, inventory.policies, self._status, self._stops, run=context.id
        )
        self._closing = Closing(self._sight, self._stream, phases, books, self._stops, own_stops, self._targets)
        self._news = Wakeup(loop)
        self._news_of: set[str] = set()  # connections (URIs), "" for all
        self._looked_at = -math.inf

    async def execute(self) -> Report:
        """Run it; raises LastcallError only before any guest is touched."""
        # Neighbours beside our own: one whose host is gone does not answer for a while.
        await asyncio.gather(self._connections.connect(), self._connections.neighbours.open())
        seen_at = self._loop.time()
        everybody = await self._connections.active()
        neighbours = await self._inventory.neighbours(everybody)
        chosen = self._wanted.chosen if self._late.named else EVERYBODY  # a host stop may have joined meanwhile
        plan = await self._plan(choose_active(chosen, everybody, self._stream), neighbours)
        self._spare_neighbours(plan)
        await self._inventory.warn_of_those_left(everybody, {planned.guest.key for planned in plan.guests})
        await self._returning.list_planned(plan, begun=False)
        foreseeing = self._loop.create_task(self._foresee(plan))
        # Beside all that follows: a daemon that hangs over this kept the guests of all others waiting.
        own_stops = self._loop.create_task(self._note_own_stops())
        stopping = self._enlist(plan, seen_at)
        await self._ask_who_is_busy(plan)
        if await self._announce():
            await self._stop_everybody(stopping)
        self._is_closing = True
        self._busy.end()
        await own_stops
        await self._returning.list_the_unplanned(self._context.guests)
        await self._closing.account_for(list(dict.fromkeys(self._context.guests)))
        await self._kept()
        await self._closing.catch_up()
        await self._note_own_stops()
        await self._tell_the_end()
        await self._power_off.settle()
        foreseeing.cancel()  # unless it is over, long ago
        return conclude(self._stream, self._sight.hypervisor)

    def _spare_neighbours(self, plan: Plan) -> None:
        """Refuse a run that nothing forces where it takes away what somebody elsewhere needs; raises UsageError."""
        staying = who_goes_on(plan)
        if staying and self._phases.voluntary and self._wanted.spares_neighbours:
            told = "; ".join(f"{name} goes on and needs {', '.join(needed)}" for name, needed in staying.items())
            remedy = "stop it there first, or give --yes-neighbours"
            raise UsageError(f"nobody is stopped: {told}", remedy)

    async def _plan(self, guests: Sequence[Guest], neighbours: Sequence[Guest] = ()) -> Plan:
        """Decide for these guests, by their settings and what libvirt tells of them."""
        self._context.guests = (*self._context.guests, *guests)
        for guest in guests:
            stage = self._wanted.stages.get(guest.key, "")
            self._stream.emit(GuestPlanned(at=self._stream.now(), guest=guest, stage=stage))
        # Of what was begun from here on nothing is known: a dump that began while a disk held up the list of guests was
        # taken for a QEMU that hangs, and its guest's plug pulled.
        self._looked_at = self._loop.time()
        await self._inventory.learn(guests)
        limited = self._context.terms.deadline.end != math.inf
        plan = await self._inventory.plan(guests, self._wanted.parallel, limited=limited, neighbours=neighbours)
        beside = {guest.key for guest in neighbours}
        for planned in plan.guests:
            if planned.guest.key in beside:
                self._stream.emit(GuestPlanned(at=self._stream.now(), guest=planned.guest))
        plan = await self._targets.learn(plan.with_restarting(self._books.restarting()))
        self._stream.problems(plan.problems)
        for planned in plan.guests:
            if planned.facts.condition is Condition.IO_ERROR and planned.watched is None:
                what = f"{Condition.IO_ERROR.value}: it hears nothing, and has yet to write what is in its memory"
                self._stream.problem("guest", planned.guest.name, what, "give its disk room, and resume it")
        return plan

    async def _plan_anew(self, planned: PlannedGuest) -> PlannedGuest:
        """The plan for a guest by what it does now; see `GuestStop`."""
        state = await self._sight.look_again(planned.guest)
        if state in {GuestState.OFF, GuestState.UNKNOWN}:
            return planned
        if state is GuestState.RUNNING:  # whatever was heard of it before
            self._status.confirm_sound(planned.guest.key)
        limited = self._context.terms.deadline.end != math.inf
        return await self._inventory.plan_anew(planned, state, limited=limited)

    async def _ask_who_is_busy(self, plan: Plan) -> None:
        """Say it before anybody is touched; a host that goes down waits for no answer, and records what is in time."""
        if self._context.terms.reason in BRINGS_BACK:
            return  # who is was asked before it began
        going = [planned.guest for planned in plan.guests if not planned.left_because]
        if self._phases.voluntary:
            await self._busy.tell(going)
        else:
            self._busy.begin(going)

    async def _foresee(self, plan: Plan) -> None:
        """Note what is planned, beside all that follows; what goes wrong with that costs the report a comparison."""
        start, deadline = self._stream.start, self._context.terms.deadline
        try:
            boxes = self._inventory.hook_boxes(plan, self._wanted.pre_budget, deadline.remaining(start))
            limits = self._connections.limits(self._wanted.parallel)
            await self._books.foresee(plan, limits, boxes, deadline.since(start))
        except Exception as error:  # noqa: BLE001  nobody awaits this task: what it raised was told nowhere
            told = f"what was planned is not in the report: {in_words(error)}"
            remedy = "" if isinstance(error, OSError) else "this is a bug in lastcall"
            self._stream.problem("plan", "this run", told, remedy, Severity.WARNING)

    async def _note_own_stops(self) -> None:
        await self._closing.note_own_stops(self._context.guests, self._context.id)

    async def _announce(self, *, missed: bool = False) -> bool:
        """Fire pre_shutdown, see `Hooks.fire`; False when a plugin aborts a voluntary run."""
        budget = min(self._wanted.pre_budget, self._context.terms.share(STEP))
        fired = await self._hooks.fire("pre_shutdown", until=self._loop.time() + budget, share=STEP, missed=missed)
        # The power goes, whatever a plugin thinks of it.
        if fired.verdict != "abort" or not self._phases.voluntary:
            return True
        self._stream.problem("hook", "this run", f"aborted before any guest was touched, by {fired.because}")
        return False

    async def _announce_what_joined(self) -> None:
        """Where a host stop has joined a run by hand: what is meant for host stops was not called, and comes before the
        guests that are asked because of it."""
        if "" in self._news_of:
            await self._announce(missed=True)

    def _enlist(self, plan: Plan, seen_at: float) -> Stopping:
        """Get ready to see these guests off, that were listed then; nothing moves yet."""
        waits = plan.graph.needed_by
        lengths = chains(waits, {planned.guest.key: 1.0 for planned in plan.guests})
        limits = self._connections.limits(self._wanted.parallel)
        # Long chains first: the longest one decides how long the run takes, and the deadline does not move.
        outside = [planned.guest.key for planned in plan.guests if planned.watched is not None]
        queue = TurnQueue(waits, limits, lambda key: -lengths.get(key, 0.0), outside)
        stopping = Stopping(
            self._ladder,
            Scheduler(queue, self._loop),
            self._phases,
            self._hooks,
            self._stream,
            self._plan_anew,
            self._busy,
            len(plan.guests),
            self._connections.neighbours,
            Entrance(self._loop, self._ladder.tools.asker, self._phases.last_ask),
        )
        self._add(stopping, plan, waits, seen_at)
        return stopping

    def _add(self, stopping: Stopping, plan: Plan, waits: Edges, seen_at: float) -> None:
        names = {guest.key: guest.name for guest in self._context.guests}
        names |= plan.names
        names |= {key: self._stops[key].guest.name for key in self._watching}
        for planned in plan.guests:
            key = planned.guest.key
            # What an earlier one could not put back is to be put back yet: forgotten, its next reboot was its end.
            changed = key in self._stops and self._stops[key].changed
            self._stops[key] = GuestStop(
                stopping, planned, seen_at, self._looked_at, names_of(waits[key], names), changed=changed
            )  # fmt: skip

    async def _stop_everybody(self, stopping: Stopping) -> None:
        """Until all are through and none has come up meanwhile, or the guests' time is over."""
        self._status.on_start, self._status.on_restored = self._notice, self._catch_up
        rounds = self._loop.create_task(self._rounds.go())
        try:
            with (
                self._connections.latecomers(self._catch_up),
                self._phases.last_resort.watch(self._news.ring),
                self._phases.last_ask.watch(stopping.entrance.heed_last_ask),
                self._phases.last_ask.watch(self._cut_hooks_short),
            ):
                # Not the end: post_shutdown gets its share also where guests take all the time that there is.
                await self._phases.last_hook.bounds(self._see_off(stopping))
        finally:
            self._is_closing = True  # already now: nobody would see off whom a host stop adds that joins here
            tasks = {rounds, *self._under_way.values(), *self._watching.values()}
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _see_off(self, stopping: Stopping) -> None:
        await self._announce_what_joined()
        self._begin(self._stops)
        while True:
            if (self._under_way or self._awaits_connections) and not self._news_of:
                await self._news.wait()
                continue
            self._cut_hooks_short()
            await self._announce_what_joined()
            # While others are under way only those are asked that there is news of: one that hangs would delay them.
            only = self._news_of if self._under_way and "" not in self._news_of else None
            self._news_of, seen_at = set[str](), self._loop.time()
            late = await self._latecomers(only)
            if late:
                waits = self._waits(late, stopping.scheduler)
                self._add(stopping, late, waits, seen_at)
                outside = [planned.guest.key for planned in late.guests if planned.watched is not None]
                stopping.scheduler.add(waits, outside)
                # Only now: while a disk hung over the list, others went that were to go after these.
                await self._returning.list_planned(late, begun=True)
                self._begin(planned.guest.key for planned in late.guests)
            elif not self._under_way and not self._news_of and not self._awaits_connections:
                return

    @property
    def _awaits_connections(self) -> bool:
        """Whether a connection that is still tried may bring guests in time."""
        return self._connections.awaited and not self._phases.last_resort.passed and not self._phases.asks_no_more

    def _begin(self, keys: Iterable[Key]) -> None:
        """Let these guests go, each as soon as its turn comes."""
        for key in keys:
            self._late.count(key)
            stop = self._stops[key]
            tasks = self._watching if stop.watches else self._under_way
            tasks[key] = self._loop.create_task(self._contained(stop))

    async def _contained(self, stop: GuestStop) -> None:
        """Stop one guest; whatever goes wrong with it, in our own code too, stays with it."""
        guest = stop.guest
        try:
            await stop.stop()
        except Exception as error:  # noqa: BLE001  the others still have to be stopped
            self._stream.problem("internal", guest.name, in_words(error), "this is a bug in lastcall")
        finally:
            self._under_way.pop(guest.key, None)
            self._watching.pop(guest.key, None)
            if stop.is_cut_short and not self._phases.asks_no_more:
                self._late.ask_anew(guest.key)
            if self._late.has_to_go(stop):
                self._notice(guest.key)
            if not self._under_way:
                self._news.ring()

    def _cut_hooks_short(self) -> None:
        """Where everybody has to be asked, who is to go once more waits for no plugin that hears how it went."""
        if self._phases.last_ask.passed and not self._phases.voluntary:
            for key, task in self._under_way.items():
                if self._late.has_to_go(self._stops[key]):
                    task.cancel()

    def _notice(self, key: Key) -> None:
        """A guest was started while the run goes on."""
        if not self._phases.asks_no_more:
            self._news_of.add(key[0])
            self._news.ring()

    async def _latecomers(self, only: Container[str] | None) -> Plan | None:
        """Plan the guests that came up, or came back, since the list was made; `only` those of these connections."""
        if self._phases.asks_no_more:
            return None
        late = await self._late.find(only)
        if not late:
            return None
        plan = await self._plan(late, await self._neighbours_of(late))
        for planned in plan.guests:
            if not planned.left_because:
                self._late.tell(planned.guest)
        return plan

    async def _neighbours_of(self, late: Sequence[Guest]) -> Sequence[Guest]:
        """The guests of neighbours that may need latecomers: whoever needs one here is off before it is asked."""
        neighbours = self._connections.neighbours
        if not neighbours.patience or self._phases.last_ask.passed:
            return ()
        found = await self._inventory.neighbours([*self._context.guests, *late])
        over = {key for key, stop in self._stops.items() if stop.waits_no_more}
        return [guest for guest in found if guest.key not in self._watching and guest.key not in over]

    def _waits(self, late: Plan, scheduler: Scheduler) -> Edges:
        """Whom latecomers, and those whose turn has yet to come, wait for: each other, and those who are going."""
        # One that an interrupted run by hand had left, and a host stop that joined it has seen off, was asked under the
        # hands of a guest that needed it and had not gone yet.
        under_way = [self._stops[key].guest for key in (*self._under_way, *self._watching)]
        everybody = [*(planned.guest for planned in late.guests), *under_way]
        waits = make_graph(everybody, self._inventory.policies, ()).needed_by
        # One that goes waits for nobody any more. Left out with what it would have waited for, it let a guest go that
        # was to be behind it, before a latecomer that was to be ahead of both.
        return without(waits, {guest.key for guest in under_way if scheduler.may_move(guest.key)})

    def _catch_up(self, uri: str) -> None:
        """A connection lives again, or at last: whoever runs there is found by the next listing."""
        self._late.catch_up(uri)
        self._notice((uri, ""))

    async def _tell_the_end(self) -> None:
        report = self._stream.story.report()
        await self._hooks.fire("post_shutdown", until=self._context.terms.until, report=report)
