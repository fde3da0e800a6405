"""The shutdown run: connect, plan, remember, hooks, guests, report. Read it from top to bottom."""

import asyncio
import math
from collections import Counter
from collections.abc import Iterable, Sequence

from lastcall.api.guests import Ended, Guest, GuestState, Outcome, Reason
from lastcall.api.results import Report, Severity
from lastcall.bell import Bell
from lastcall.course import Course
from lastcall.deadline import Deadline
from lastcall.departure import Departure, Way
from lastcall.engine import Parts, conclude, keep, remember_times, share
from lastcall.errors import LastcallError
from lastcall.forecast import chains
from lastcall.graph import make_graph, told
from lastcall.inventory import Inventory
from lastcall.ladder import Ladder
from lastcall.plan import Plan, select
from lastcall.records import GuestPlanned, Key
from lastcall.scheduler import Scheduler
from lastcall.turns import Turns

_RUNS_ON = frozenset({Outcome.LEFT, Outcome.SKIPPED})
POLL = 5.0  # seconds between safety polls; events are what a run waits for
RETURNS = 3  # how often a voluntary run stops one guest that somebody starts again and again


class Shutdown:
    """Stops guests: all active ones, or those named. `force` lets a voluntary run take the last resort."""

    def __init__(self, parts: Parts, *, names: Sequence[str] = (), force: bool = False) -> None:
        self._parts = parts
        self._names = names
        self._stream = parts.stream
        self._presence = parts.presence
        self._inventory = Inventory(parts)
        self._course = Course(parts.loop, parts.context, parts.stream, force=force)
        self._ladder = Ladder(parts.asker, parts.hypervisor, parts.presence, parts.stream, parts.loop, self._course.end)
        self._parallel = parts.settings.shutdown.parallel
        self._departures: dict[Key, Departure] = {}
        self._under_way: dict[Key, asyncio.Task[None]] = {}
        self._times: Counter[Key] = Counter()
        self._news = Bell(parts.loop)
        self._came_late = False
        self._keeping: asyncio.Task[None] | None = None

    async def execute(self) -> Report:
        """Run it; raises LastcallError only before any guest is touched."""
        await self._inventory.connect()
        everybody = await self._inventory.active()
        plan = await self._plan(select(everybody, self._names))
        await self._warn_of_those_left(everybody, plan)
        await self._remember(plan, begun=False)
        way = self._enlist(plan)
        if await self._announce():
            await self._stop_everybody(way)
        await self._settle()
        await self._tell_the_end()
        return conclude(self._parts)

    def join(self, reason: Reason, deadline: Deadline) -> None:
        """Become the host stop that another process wants to begin; see `Course.join`."""
        self._course.join(reason, deadline)
        if not reason.voluntary:
            self._parts.state.make_due(self._parts.boot_id)
            self._keeping = self._parts.loop.create_task(keep(self._parts))

    def interrupt(self) -> None:
        """Answer a signal; see `Course.interrupt`."""
        self._course.interrupt()

    async def _plan(self, guests: Sequence[Guest]) -> Plan:
        """Decide for these guests, by their settings and what libvirt tells of them."""
        self._parts.context.guests = (*self._parts.context.guests, *guests)
        for guest in guests:
            self._stream.emit(GuestPlanned(at=self._stream.now(), guest=guest))
        await self._inventory.learn(guests)
        plan = await self._inventory.plan(guests, self._parallel)
        for problem in plan.problems:
            self._stream.problem(problem.what, problem.where, problem.message, problem.remedy, problem.severity)
        return plan

    async def _warn_of_those_left(self, everybody: Sequence[Guest], plan: Plan) -> None:
        """A run for named guests may take away what others need that go on."""
        stopping = {planned.guest.key for planned in plan.guests}
        staying = [guest for guest in everybody if guest.key not in stopping]
        if not self._names or not staying:
            return
        await self._inventory.learn(staying)
        needs = make_graph(everybody, self._parts.policies.of, ()).needs
        for guest in staying:
            needed = sorted(self._name_of(key) for key in stopping & set(needs[guest.key]))
            if needed:
                message = f"goes on and needs {', '.join(needed)}"
                self._stream.problem("order", guest.name, message, "name it, too", Severity.WARNING)

    def _name_of(self, key: Key) -> str:
        return next(guest.name for guest in self._parts.context.guests if guest.key == key)

    async def _remember(self, plan: Plan, *, begun: bool) -> None:
        """Write down what is to be brought back, before anything is touched."""
        state, context = self._parts.state, self._parts.context
        state.drop(planned.guest.key for planned in plan.guests)  # active, so whatever was written about it is over
        keepers = [planned.guest for planned in plan.guests if planned.restore]
        state.add(keepers, run=context.id, boot_id=self._parts.boot_id, host_stop=not self._course.voluntary)
        await keep(self._parts, begun=begun)

    async def _announce(self) -> bool:
        """Fire pre_shutdown; False when a plugin aborts a voluntary run."""
        budget = min(self._parts.settings.hooks.pre_budget, share(self._parts))
        fired = await self._parts.hooks.fire("pre_shutdown", until=self._parts.loop.time() + budget)
        if fired.verdict != "abort" or not self._course.voluntary:
            return True
        self._stream.problem("hook", "this run", f"aborted before any guest was touched, by {fired.because}")
        return False

    def _enlist(self, plan: Plan) -> Way:
        """Get ready to see these guests off; nothing moves yet."""
        waits = plan.graph.needed_by
        lengths = chains(waits, {planned.guest.key: 1.0 for planned in plan.guests})
        turns = Turns(waits, self._inventory.limits(self._parallel), lambda key: -lengths.get(key, 0.0))
        way = Way(self._parts, self._ladder, Scheduler(turns, self._parts.loop), self._course)
        self._add(way, plan)
        return way

    def _add(self, way: Way, plan: Plan) -> None:
        names = {guest.key: guest.name for guest in self._parts.context.guests}
        waits = plan.graph.needed_by
        for planned in plan.guests:
            key = planned.guest.key
            self._departures[key] = Departure(way, planned, told(waits[key], names))

    async def _stop_everybody(self, way: Way) -> None:
        """Until all are through and none has come up meanwhile, or the guests' time is over."""
        self._presence.on_start, self._presence.on_restored = self._notice, self._catch_up
        polling = self._parts.loop.create_task(self._poll())
        try:
            await self._course.end.bounds(self._see_off(way))
        finally:
            for task in (polling, *self._under_way.values()):
                task.cancel()
            await asyncio.wait({polling, *self._under_way.values()})

    async def _see_off(self, way: Way) -> None:
        self._begin(self._departures)
        while True:
            if self._under_way and not self._came_late:
                await self._news.wait()
                continue
            self._came_late = False
            late = await self._latecomers()
            if late:
                self._add(way, late)
                way.scheduler.add(late.graph.needed_by)
                self._begin(planned.guest.key for planned in late.guests)
            elif not self._under_way and not self._came_late:
                return

    def _begin(self, keys: Iterable[Key]) -> None:
        """Let these guests depart, each as soon as its turn comes."""
        for key in keys:
            self._times[key] += 1
            self._under_way[key] = self._parts.loop.create_task(self._contained(self._departures[key]))

    async def _contained(self, departure: Departure) -> None:
        """Stop one guest; whatever goes wrong with it, in our own code too, stays with it."""
        guest = departure.guest
        try:
            await departure.depart()
        except Exception as error:  # noqa: BLE001  the others still have to be stopped
            self._stream.problem(
                "internal", guest.name, f"{type(error).__name__}: {error}", "this is a bug in lastcall"
            )
        finally:
            self._under_way.pop(guest.key, None)
            if not self._under_way:
                self._news.ring()

    def _notice(self, key: Key) -> None:
        """A guest was started while the run goes on."""
        if not self._course.asks_no_more:
            self._came_late = True
            self._news.ring()

    async def _latecomers(self) -> Plan | None:
        """Plan the guests that came up, or came back, since the list was made."""
        if self._course.asks_no_more:
            return None
        late = [guest for guest in await self._inventory.active(patient=False) if await self._is_late(guest)]
        if not late:
            return None
        for guest in late:
            self._presence.forget(guest.key)
            what = "started again after it was off" if self._times[guest.key] else "started while the run goes on"
            self._stream.problem("guest", guest.name, f"{what}; it is stopped, too", severity=Severity.WARNING)
        plan = await self._plan(late)
        await self._remember(plan, begun=True)
        return plan

    async def _is_late(self, guest: Guest) -> bool:
        """Whether an active guest has yet to be seen off. A run for named guests is about those alone."""
        if guest.key in self._under_way or (guest.key not in self._departures and self._names):
            return False
        if guest.key not in self._departures:
            return True
        if self._presence.ended(guest.key):  # the list may be older than the event
            self._presence.forget(guest.key)
            if await self._ladder.settle(guest) in {GuestState.OFF, GuestState.UNKNOWN}:
                return False
        was_off = self._stream.story.result(guest.key).ended is not None
        return was_off and (not self._course.voluntary or self._times[guest.key] < RETURNS)

    async def _poll(self) -> None:
        """Ask libvirt now and then: an event that was lost must not cost a guest its whole time."""
        while True:
            await asyncio.sleep(POLL)
            uris = {key[0] for key in self._presence.watched()}
            await asyncio.gather(*(self._poll_connection(uri) for uri in uris))

    def _catch_up(self, uri: str) -> None:
        """A connection lives again: whoever was started meanwhile is found by the next listing."""
        self._notice((uri, ""))

    async def _poll_connection(self, uri: str) -> None:
        waiting = {key for key in self._presence.watched() if key[0] == uri}
        try:
            active = {guest.key for guest in await self._parts.hypervisor.active(uri)}
        except (LastcallError, TimeoutError):
            return
        for guest in self._parts.context.guests:
            if guest.key in waiting and guest.key not in active:
                await self._ladder.settle(guest)

    async def _settle(self) -> None:
        """Account for everybody, also those that the end of the run overtook, and take off the list who still runs."""
        guests = list(dict.fromkeys(self._parts.context.guests))
        departures = [self._departures[guest.key] for guest in guests if guest.key in self._departures]
        story = self._stream.story
        await asyncio.gather(*(one.account() for one in departures if not story.decided(one.guest.key)))
        results = {guest.key: story.result(guest.key) for guest in guests}
        gone = [key for key, result in results.items() if result.ended is Ended.MIGRATED or result.outcome in _RUNS_ON]
        if gone:
            self._parts.state.drop(gone)
            await keep(self._parts)
        await remember_times(self._parts)

    async def _tell_the_end(self) -> None:
        until = self._parts.deadline.end
        await self._parts.hooks.fire(
            "post_shutdown", until=None if until == math.inf else until, report=self._stream.story.report()
        )
