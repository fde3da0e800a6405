"""The restore run: the list of guests, connect, hooks, start, wait until ready, report. Read it from top to bottom."""

import asyncio
import math
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from lastcall.api.guests import GuestState, Outcome
from lastcall.api.results import Report
from lastcall.bell import Bell
from lastcall.engine import Parts, conclude, keep
from lastcall.errors import ConnectionLost, LastcallError, UsageError
from lastcall.forecast import chains
from lastcall.graph import Graph, told
from lastcall.inventory import Inventory
from lastcall.milestone import Milestone
from lastcall.records import GuestAsked, GuestBegun, GuestEnded, GuestPlanned
from lastcall.scheduler import Scheduler
from lastcall.state import Entry
from lastcall.turns import Turns

T = TypeVar("T")
CONNECTION_POLL = 0.5  # seconds
READY_INTERVAL = 1.0  # seconds between two rounds of guest_ready
_EVENT_PATIENCE = 2.0  # seconds for the start event, which says whether the guest came from a saved image
_BACK = frozenset({Outcome.STARTED, Outcome.RESUMED, Outcome.PRESENT, Outcome.UNREADY})


class Restore:
    """Starts guests again: all that wait and are not parked, or those named (parked ones too).

    At boot (`at_boot`) it starts those that are due from the boot just before this one, and those that are to run
    always. Whatever waits from earlier boots may run elsewhere by now: that is for a person to decide.
    """

    def __init__(self, parts: Parts, *, names: Sequence[str] = (), at_boot: bool = False) -> None:
        self._parts = parts
        self._names = names
        self._at_boot = at_boot
        self._inventory = Inventory(parts)
        self._stream = parts.stream
        self._settings = parts.settings.restore
        self._end = Milestone(parts.loop, parts.deadline.end)
        self._next_start = -math.inf
        self._starting = asyncio.Lock()
        self._starts_no_more = False

    async def execute(self) -> Report:
        """Run it; raises UsageError for a name that is not on the list."""
        if self._at_boot and self._parts.state.stamp(self._parts.boot_id):
            await keep(self._parts, begun=False)
        entries = self._select()
        if entries or self._at_boot:
            await self._inventory.connect(entry.uri for entry in entries)
            entries += await self._always_running(entries)
        if entries:
            graph = await self._plan(entries)
            if await self._announce():
                await self._start_everybody(entries, graph)
            await self._settle(entries)
            await self._tell_the_end()
        return conclude(self._parts)

    def interrupt(self) -> None:
        """Answer a signal: start nobody else and wait for those being started; at the second one stop waiting."""
        if self._starts_no_more:
            self._end.hasten()
            return
        self._starts_no_more = True
        self._stream.problem(
            "signal",
            "this run",
            "interrupted: nobody else is started; the rest stays on the list",
            "again to stop waiting",
        )

    def _select(self) -> list[Entry]:
        state = self._parts.state
        entries = list(state.entries.values())
        if self._names:
            return select_entries(entries, self._names)
        if self._settings.policy == "none":
            return []
        if self._at_boot:
            return [
                entry for entry in entries if entry.due and entry.boot_id == state.previous_boot and not entry.parked
            ]
        return [entry for entry in entries if not entry.parked]

    async def _always_running(self, entries: Sequence[Entry]) -> list[Entry]:
        """At boot, the guests whose `restore` is `always` and that are not on the list, as after a crash."""
        if not self._at_boot or self._names or self._settings.policy == "none":
            return []
        known = {(entry.uri, entry.uuid) for entry in self._parts.state.entries.values()}
        off = [guest for guest in await self._inventory.inactive() if guest.key not in known]
        await self._inventory.learn(off)
        wanted = [guest for guest in off if self._parts.policies.of(guest).restore == "always"]
        running = [replace(guest, state=GuestState.RUNNING) for guest in wanted]
        return self._parts.state.add(running, run=self._parts.context.id, boot_id=self._parts.boot_id, host_stop=False)

    async def _plan(self, entries: Sequence[Entry]) -> Graph:
        """Whom each guest needs: the same graph as at the shutdown, forward."""
        guests = [entry.guest for entry in entries]
        self._parts.context.guests = tuple(guests)
        for guest in guests:
            self._stream.emit(GuestPlanned(at=self._stream.now(), guest=guest))
        await self._inventory.learn(guests)
        graph = (await self._inventory.plan(guests, self._settings.parallel)).graph
        for problem in graph.problems:
            self._stream.problem(problem.what, problem.where, problem.message, problem.remedy, problem.severity)
        return graph

    async def _announce(self) -> bool:
        """Fire pre_restore; False when a plugin aborts the run. Nothing is lost then: the list stays."""
        fired = await self._parts.hooks.fire("pre_restore", until=self._until())
        if fired.verdict != "abort":
            return True
        self._stream.problem("hook", "this run", f"aborted before any guest was started, by {fired.because}")
        return False

    async def _start_everybody(self, entries: Sequence[Entry], graph: Graph) -> None:
        lengths = chains(graph.needs, {entry.guest.key: 1.0 for entry in entries})
        limits = self._inventory.limits(self._settings.parallel)
        turns = Turns(graph.needs, limits, lambda key: -lengths.get(key, 0.0))
        scheduler = Scheduler(turns, self._parts.loop)
        saving = self._parts.loop.create_task(self._save_now_and_then())
        names = {entry.guest.key: entry.name for entry in entries}
        guests = [
            self._parts.loop.create_task(self._contained(entry, scheduler, told(graph.needs[entry.guest.key], names)))
            for entry in entries
        ]
        try:
            await self._end.bounds(_all(guests))
        finally:
            for task in (saving, *guests):
                task.cancel()
            await asyncio.wait({saving, *guests})

    async def _contained(self, entry: Entry, scheduler: Scheduler, waited_for: tuple[str, ...]) -> None:
        """Start one guest; whatever goes wrong with it, in our own code too, stays with it."""
        try:
            await scheduler.turn(entry.guest.key)
            await self._start(entry, waited_for)
        except Exception as error:  # noqa: BLE001  the others still have to be started
            self._stream.problem(
                "internal", entry.name, f"{type(error).__name__}: {error}", "this is a bug in lastcall"
            )
        finally:
            scheduler.done(entry.guest.key)  # a guest that could not be started does not hold up the others for ever

    async def _start(self, entry: Entry, waited_for: tuple[str, ...]) -> None:
        guest = entry.guest
        if self._starts_no_more:
            self._finish(entry, Outcome.SKIPPED, "interrupted before it was started")
            return
        self._stream.emit(GuestBegun(at=self._stream.now(), guest=guest.key, waited_for=waited_for))
        await self._bring_back(entry)
        result = self._stream.story.result(guest.key)
        await self._parts.hooks.fire("on_guest_started", guest, until=self._until(), result=result)

    async def _bring_back(self, entry: Entry) -> None:
        """From what libvirt says the guest does, to a decided outcome."""
        try:
            standing = await self._answered(lambda: self._parts.hypervisor.standing(entry.guest), entry)
        except (LastcallError, TimeoutError) as error:
            self._finish(entry, Outcome.FAILED, f"{error or 'no answer'}; it stays on the list")
            return
        if standing.state is not GuestState.OFF:
            self._finish(entry, Outcome.PRESENT)
            return
        fired = await self._parts.hooks.fire("on_guest_start", entry.guest, until=self._until())
        if fired.verdict == "skip_guest":
            self._finish(entry, Outcome.SKIPPED, f"{fired.because}; it stays on the list")
            return
        why = await self._try_to_start(entry)
        if why:
            self._finish(entry, Outcome.FAILED, f"{why}; parked after {self._settings.attempts} attempts", parked=True)
            return
        outcome = Outcome.RESUMED if await self._came_from_image(entry, saved=standing.saved) else Outcome.STARTED
        ready = await self._wait_until_ready(entry)
        self._finish(
            entry, outcome if ready else Outcome.UNREADY, "" if ready else "running, but not ready in its time"
        )

    async def _try_to_start(self, entry: Entry) -> str:
        """Start it, as often as is configured; returns why it could not be started, or nothing."""
        why = ""
        for attempt in range(1, self._settings.attempts + 1):
            if attempt > 1:
                await asyncio.sleep(self._settings.retry)
            await self._wait_for_delay()
            self._stream.emit(GuestAsked(at=self._stream.now(), guest=entry.guest.key, method="start", attempt=attempt))
            try:
                await self._answered(lambda: self._parts.hypervisor.start(entry.guest), entry)
            except (LastcallError, TimeoutError) as error:
                why = str(error) or "the start took too long"
                if await self._runs(entry):
                    return ""
            else:
                return ""
        return why

    async def _wait_for_delay(self) -> None:
        """Keep `restore.delay` between one start and the next."""
        if not self._settings.delay:
            return
        async with self._starting:
            await asyncio.sleep(max(0.0, self._next_start - self._parts.loop.time()))
            self._next_start = self._parts.loop.time() + self._settings.delay

    async def _answered(self, ask: Callable[[], Coroutine[Any, Any, T]], entry: Entry) -> T:
        """Ask libvirt; while the connection is dead and being tried again, wait for it."""
        while True:
            try:
                return await ask()
            except ConnectionLost:
                if self._parts.presence.away(entry.uri) is None:
                    raise
                await asyncio.sleep(CONNECTION_POLL)

    async def _runs(self, entry: Entry) -> bool:
        try:
            standing = await self._answered(lambda: self._parts.hypervisor.standing(entry.guest), entry)
        except (LastcallError, TimeoutError):
            return False
        return standing.state not in {GuestState.OFF, GuestState.UNKNOWN}

    async def _came_from_image(self, entry: Entry, *, saved: bool) -> bool:
        """Only libvirt's event says so; where there was no image there is no need to wait for it."""
        if not saved:
            return False
        key, bell = entry.guest.key, Bell(self._parts.loop)
        until = self._parts.loop.time() + _EVENT_PATIENCE
        with self._parts.presence.watch(key, bell.ring):
            while self._parts.presence.restored(key) is None and self._parts.loop.time() < until:
                await bell.wait(until)
        return bool(self._parts.presence.restored(key))

    async def _wait_until_ready(self, entry: Entry) -> bool:
        if entry.state is GuestState.PAUSED:
            return True  # it was paused and is again: it cannot become ready, and does not have to
        now = self._parts.loop.time()
        limit = self._parts.policies.of(entry.guest).ready_timeout or self._settings.ready_timeout
        until = min(now + limit, self._parts.deadline.end)
        while self._parts.loop.time() < until:
            fired = await self._parts.hooks.fire("guest_ready", entry.guest, until=until, since=now)
            if not any(answer is False for _, answer in fired.answers):
                return True
            await asyncio.sleep(READY_INTERVAL)
        return False

    def _finish(self, entry: Entry, outcome: Outcome, message: str = "", *, parked: bool = False) -> None:
        """Decide, and let the guest leave the list only when it is back."""
        key = entry.guest.key
        if outcome in _BACK:
            self._parts.state.drop([key])
        elif parked:
            self._parts.state.park(key)
        self._stream.emit(GuestEnded(at=self._stream.now(), guest=key, outcome=outcome, message=message))

    async def _save_now_and_then(self) -> None:
        """Keep the list on disk near the truth; an entry too many does no harm, the guest is then found present."""
        written = dict(self._parts.state.entries)
        while True:
            await asyncio.sleep(1.0)
            if written != self._parts.state.entries:
                written = dict(self._parts.state.entries)
                await keep(self._parts)

    async def _settle(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if not self._stream.story.decided(entry.guest.key):
                self._finish(entry, Outcome.UNKNOWN, "the run ended before it was back; it stays on the list")
        await keep(self._parts)

    async def _tell_the_end(self) -> None:
        await self._parts.hooks.fire("post_restore", until=self._until(), report=self._stream.story.report())

    def _until(self) -> float | None:
        end = self._parts.deadline.end
        return None if end == math.inf else end


async def _all(tasks: Sequence["asyncio.Task[None]"]) -> None:
    await asyncio.wait(tasks)


def select_entries(entries: Sequence[Entry], names: Sequence[str]) -> list[Entry]:
    """The entries that are named, by name or UUID; raises UsageError for a name that is not on the list."""
    for name in names:
        if not any(name in {entry.name, entry.uuid} for entry in entries):
            raise UsageError(f"{name!r} is not on the list of guests to restore", "`lastcall status` shows the list")
    return [entry for entry in entries if entry.name in names or entry.uuid in names]
