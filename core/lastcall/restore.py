"""The restore run: the list of guests, connect, hooks, start, wait until ready, report. Read it from top to bottom."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace

from lastcall.api.guests import GuestState, Outcome
from lastcall.api.results import Report
from lastcall.arrival import Arrival, Spacing, Way
from lastcall.engine import Parts, conclude, keep
from lastcall.errors import UsageError
from lastcall.forecast import chains
from lastcall.graph import told
from lastcall.inventory import Inventory
from lastcall.milestone import Milestone
from lastcall.records import GuestPlanned
from lastcall.scheduler import Scheduler
from lastcall.state import Entry
from lastcall.turns import Turns


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
        self._starts_no_more = False

    async def execute(self) -> Report:
        """Run it; raises UsageError for a name that is not on the list."""
        first = self._at_boot and self._is_first_of_boot()
        entries = self._select()
        if entries or first:
            await self._inventory.connect(entry.uri for entry in entries)
        if first:
            entries += await self._always_running()
            await keep(self._parts, begun=False)
        if entries:
            arrivals = await self._plan(entries)
            if await self._announce():
                await self._start_everybody(arrivals)
            await self._settle(arrivals)
            await self._tell_the_end()
        if first and self._inventory.complete and not self._starts_no_more:
            self._parts.state.restored_in = self._parts.boot_id
            await keep(self._parts)
        return conclude(self._parts)

    def _is_first_of_boot(self) -> bool:
        """Whether no restore of this boot has got an answer from every connection, and came to its end."""
        self._parts.state.stamp(self._parts.boot_id)
        return self._parts.state.restored_in != self._parts.boot_id

    def interrupt(self) -> None:
        """Answer a signal: start nobody else and wait for those being started; at the second one stop waiting.

        At boot the first one is enough: it comes from systemd, and the shutdown that follows waits for this.
        """
        if self._starts_no_more or self._at_boot:
            self._end.hasten()
        if self._starts_no_more:
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
            return [entry for entry in entries if entry.is_due_from(state.previous_boot)]
        return [entry for entry in entries if not entry.parked]

    async def _always_running(self) -> list[Entry]:
        """Once a boot: the guests whose `restore` is `always` and that are not on the list, as after a crash.

        They come on the list as if the shutdown just before had stopped them, so that a run that is killed loses none.
        """
        state = self._parts.state
        if self._names or self._settings.policy == "none":
            return []
        off = [guest for guest in await self._inventory.inactive() if guest.key not in state.entries]
        await self._inventory.learn(off)
        wanted = [guest for guest in off if self._parts.policies.of(guest).restore == "always"]
        running = [replace(guest, state=GuestState.RUNNING) for guest in wanted]
        added = state.add(running, run=self._parts.context.id, boot_id=state.previous_boot or "", host_stop=False)
        state.entries |= {entry.guest.key: replace(entry, due=True) for entry in added}
        return added

    async def _plan(self, entries: Sequence[Entry]) -> list[Arrival]:
        """Whom each guest needs: the same graph as at the shutdown, forward."""
        guests = [entry.guest for entry in entries]
        self._parts.context.guests = tuple(guests)
        for guest in guests:
            self._stream.emit(GuestPlanned(at=self._stream.now(), guest=guest))
        await self._inventory.learn(guests)
        graph = (await self._inventory.plan(guests, self._settings.parallel)).graph
        for problem in graph.problems:
            self._stream.problem(problem.what, problem.where, problem.message, problem.remedy, problem.severity)
        lengths = chains(graph.needs, {entry.guest.key: 1.0 for entry in entries})
        limits = self._inventory.limits(self._settings.parallel)
        turns = Turns(graph.needs, limits, lambda key: -lengths.get(key, 0.0))
        loop, names = self._parts.loop, {entry.guest.key: entry.name for entry in entries}
        spacing = Spacing(loop, self._settings.delay)
        way = Way(self._parts, Scheduler(turns, loop), spacing, lambda: self._starts_no_more)
        return [Arrival(way, entry, told(graph.needs[entry.guest.key], names)) for entry in entries]

    async def _announce(self) -> bool:
        """Fire pre_restore; False when a plugin aborts the run. Nothing is lost then: the list stays."""
        fired = await self._parts.hooks.fire("pre_restore", until=self._until())
        if fired.verdict != "abort":
            return True
        self._stream.problem("hook", "this run", f"aborted before any guest was started, by {fired.because}")
        return False

    async def _start_everybody(self, arrivals: Sequence[Arrival]) -> None:
        saving = self._parts.loop.create_task(self._save_now_and_then())
        guests = [self._parts.loop.create_task(self._contained(arrival)) for arrival in arrivals]
        try:
            await self._end.bounds(_all(guests))
        finally:
            for task in (saving, *guests):
                task.cancel()
            await asyncio.wait({saving, *guests})

    async def _contained(self, arrival: Arrival) -> None:
        """Start one guest; whatever goes wrong with it, in our own code too, stays with it."""
        try:
            await arrival.arrive()
        except Exception as error:  # noqa: BLE001  the others still have to be started
            self._stream.problem(
                "internal", arrival.guest.name, f"{type(error).__name__}: {error}", "this is a bug in lastcall"
            )

    async def _save_now_and_then(self) -> None:
        """Keep the list on disk near the truth; an entry too many does no harm, the guest is then found present."""
        written = dict(self._parts.state.entries)
        while True:
            await asyncio.sleep(1.0)
            if written != self._parts.state.entries:
                written = dict(self._parts.state.entries)
                await keep(self._parts)

    async def _settle(self, arrivals: Sequence[Arrival]) -> None:
        for arrival in arrivals:
            if not self._stream.story.decided(arrival.guest.key):
                arrival.decide(Outcome.UNKNOWN, "the run ended before it was back; it stays on the list")
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
