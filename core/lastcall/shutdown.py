"""The shutdown run: connect, plan, remember, hooks, guests, report. Read it from top to bottom."""

import asyncio
import math
from collections.abc import Sequence
from contextlib import AsyncExitStack

from lastcall.api.guests import Ended, Guest, GuestState, Outcome
from lastcall.api.results import Report
from lastcall.engine import Parts, conclude, connect, keep, share
from lastcall.errors import LastcallError
from lastcall.ladder import OUTCOMES, Climbed, Ladder
from lastcall.milestone import Milestone
from lastcall.plan import Plan, PlannedGuest, make_plan, select
from lastcall.records import GuestBegun, GuestEnded, GuestPlanned, GuestWentOff, Key
from lastcall.scheduler import Scheduler

_RUNS_ON = frozenset({Outcome.LEFT, Outcome.SKIPPED})
LIST_TIMEOUT = 10.0  # seconds; listing a thousand guests takes a tenth of one
POLL = 5.0  # seconds between safety polls; events are what a run waits for


class Shutdown:
    """Stops guests: all active ones, or those named. `force` lets a voluntary run take the last resort."""

    def __init__(self, parts: Parts, *, names: Sequence[str] = (), force: bool = False) -> None:
        self._parts = parts
        self._names = names
        self._force = force
        self._stream = parts.stream
        self._presence = parts.presence
        self._ladder = Ladder(
            parts.asker, parts.hypervisor, parts.presence, parts.stream, parts.loop, parts.deadline.end
        )
        self._scheduler = Scheduler(parts.settings.shutdown.parallel)
        self._last_ask = Milestone(parts.loop, parts.deadline.last_ask)
        self._last_resort = Milestone(parts.loop, parts.deadline.last_resort)
        self._end = Milestone(parts.loop, parts.deadline.last_hook)
        self._asks_no_more = False
        self._leaves_all = False

    @property
    def _voluntary(self) -> bool:
        return self._parts.context.reason.voluntary

    async def execute(self) -> Report:
        """Run it; raises LastcallError only before any guest is touched."""
        uris = await connect(self._parts)
        guests = select(await self._take_stock(uris), self._names)
        plan = self._plan(guests)
        await self._remember(plan)
        if await self._announce():
            await self._stop_everybody(plan)
        await self._settle(plan)
        await self._tell_the_end()
        return conclude(self._parts)

    def interrupt(self) -> None:
        """Answer a signal.

        A host stop takes the last resort now. A voluntary run asks nobody else and waits for those it has asked; at the
        second signal it stops waiting.
        """
        if not self._voluntary:
            self._stream.problem("signal", "this run", "told to end: last resort now")
            self._hasten()
        elif not self._asks_no_more:
            self._asks_no_more = True
            self._stream.problem(
                "signal",
                "this run",
                "interrupted: nobody else is asked, waiting for those who were",
                "again to stop waiting",
            )
        else:
            self._leaves_all = True
            self._hasten()

    def _hasten(self) -> None:
        self._last_ask.hasten()
        self._last_resort.hasten()
        if self._leaves_all:
            self._end.hasten()

    async def _take_stock(self, uris: Sequence[str]) -> list[Guest]:
        """List the active guests of every connection; one that does not answer is a problem, not the end."""
        lists = await asyncio.gather(*(self._active(uri) for uri in uris))
        return [guest for guests in lists for guest in guests]

    async def _active(self, uri: str) -> list[Guest]:
        try:
            async with asyncio.timeout(min(LIST_TIMEOUT, share(self._parts))):
                return sorted(await self._parts.hypervisor.active(uri), key=lambda guest: guest.name)
        except (LastcallError, TimeoutError) as error:
            self._stream.problem("connection", uri, f"its guests cannot be listed: {error or 'no answer'}")
            return []

    def _plan(self, guests: Sequence[Guest]) -> Plan:
        reason, limited = self._parts.context.reason, self._parts.deadline.end != math.inf
        plan = make_plan(
            guests, self._parts.settings, self._parts.methods, reason=reason, force=self._force, limited=limited
        )
        for problem in plan.problems:
            self._stream.problem(problem.what, problem.where, problem.message, problem.remedy)
        self._parts.context.guests = tuple(guests)
        for planned in plan.guests:
            self._stream.emit(GuestPlanned(at=self._stream.now(), guest=planned.guest))
        return plan

    async def _remember(self, plan: Plan) -> None:
        """Write down what is to be brought back, before anything is touched."""
        state, context = self._parts.state, self._parts.context
        state.drop(planned.guest.key for planned in plan.guests)  # active, so whatever was written about it is over
        keepers = [planned.guest for planned in plan.guests if planned.restore]
        state.add(keepers, run=context.id, boot_id=self._parts.boot_id, host_stop=not self._voluntary)
        await keep(self._parts, begun=False)

    async def _announce(self) -> bool:
        """Fire pre_shutdown; False when a plugin aborts a voluntary run."""
        budget = min(self._parts.settings.hooks.pre_budget, share(self._parts))
        fired = await self._parts.hooks.fire("pre_shutdown", until=self._parts.loop.time() + budget)
        if fired.verdict != "abort" or not self._voluntary:
            return True
        self._stream.problem("hook", "this run", f"aborted before any guest was touched, by {fired.because}")
        return False

    async def _stop_everybody(self, plan: Plan) -> None:
        polling = self._parts.loop.create_task(self._poll())
        guests = [self._parts.loop.create_task(self._contained(planned)) for planned in plan.guests]
        try:
            if guests:
                await self._end.bounds(_all(guests))
        finally:
            for task in (polling, *guests):
                task.cancel()
            await asyncio.wait({polling, *guests})

    async def _contained(self, planned: PlannedGuest) -> None:
        """Stop one guest; whatever goes wrong with it, in our own code too, stays with it."""
        try:
            await self._stop(planned)
        except Exception as error:  # noqa: BLE001  the others still have to be stopped
            self._stream.problem(
                "internal", planned.guest.name, f"{type(error).__name__}: {error}", "this is a bug in lastcall"
            )

    async def _stop(self, planned: PlannedGuest) -> None:
        guest = planned.guest
        if planned.left_because:
            self._stream.emit(
                GuestEnded(
                    at=self._stream.now(), guest=guest.key, outcome=Outcome.SKIPPED, message=planned.left_because
                )
            )
            return
        async with AsyncExitStack() as stack:
            in_turn = self._scheduler.unlimited or await self._last_ask.bounds(
                stack.enter_async_context(self._scheduler.turn(guest))
            )
            self._stream.emit(GuestBegun(at=self._stream.now(), guest=guest.key))
            why = await self._prepare(planned)
            if why:
                await self._finish(guest, Climbed(), skipped=why)
                return
            climbed = await self._ladder.climb(guest, planned.steps, self._last_resort, out_of_order=not in_turn)
            if climbed.ended is None and not self._leaves_all:
                climbed = await self._ladder.climb(guest, planned.last_resort, self._end)
            await self._finish(guest, climbed)

    async def _prepare(self, planned: PlannedGuest) -> str:
        """Fire on_guest_stop; returns why the guest is not to be asked, if so."""
        guest, why = planned.guest, ""

        async def fire() -> None:
            nonlocal why
            until = min(self._last_ask.at, self._last_resort.at)
            fired = await self._parts.hooks.fire("on_guest_stop", guest, until=until, box=planned.hook_timeout)
            if fired.verdict == "skip_guest":
                why = fired.because

        listens = self._parts.hooks.listens("on_guest_stop")
        if listens and not self._asks_no_more and self._presence.ended(guest.key) is None:
            await self._last_ask.bounds(fire())
        if self._asks_no_more:
            return "interrupted before it was asked"
        if why and not self._voluntary:
            # The host goes down in any case: better asked late, without its hook, than destroyed unasked.
            await self._last_ask.wait()
            return ""
        return why

    async def _finish(self, guest: Guest, climbed: Climbed, skipped: str = "") -> None:
        """Decide what became of the guest by what libvirt says, and tell the plugins."""
        ended = climbed.ended or self._presence.ended(guest.key)
        state = GuestState.OFF if ended else await self._ladder.settle(guest)
        ended = ended or self._presence.ended(guest.key)
        if ended:
            self._stream.emit(GuestWentOff(at=self._stream.now(), guest=guest.key, ended=ended))
        outcome, message = _verdict(ended, state, skipped)
        self._stream.emit(
            GuestEnded(
                at=self._stream.now(),
                guest=guest.key,
                outcome=outcome,
                method=climbed.method,
                ended=ended,
                state=state,
                message=message,
            )
        )
        result = self._stream.story.result(guest.key)
        await self._parts.hooks.fire("on_guest_stopped", guest, until=self._end.at, result=result)

    async def _poll(self) -> None:
        """Ask libvirt now and then: an event that was lost must not cost a guest its whole time."""
        while True:
            await asyncio.sleep(POLL)
            waiting = self._presence.watched()
            for uri in {key[0] for key in waiting}:
                await self._poll_connection(uri, {key for key in waiting if key[0] == uri})

    async def _poll_connection(self, uri: str, waiting: set[Key]) -> None:
        try:
            active = {guest.key for guest in await self._parts.hypervisor.active(uri)}
        except (LastcallError, TimeoutError):
            return
        for guest in self._parts.context.guests:
            if guest.key in waiting and guest.key not in active:
                await self._ladder.settle(guest)

    async def _settle(self, plan: Plan) -> None:
        """Account for everybody, also those that the end of the run overtook, and take off the list who still runs."""
        await asyncio.gather(
            *(self._account(planned.guest) for planned in plan.guests if not self._decided(planned.guest))
        )
        results = {planned.guest.key: self._stream.story.result(planned.guest.key) for planned in plan.guests}
        gone = [key for key, result in results.items() if result.ended is Ended.MIGRATED or result.outcome in _RUNS_ON]
        if gone:
            self._parts.state.drop(gone)
            await keep(self._parts)

    def _decided(self, guest: Guest) -> bool:
        return self._stream.story.decided(guest.key)

    async def _account(self, guest: Guest) -> None:
        ended = self._presence.ended(guest.key)
        state = GuestState.OFF if ended else await self._ladder.settle(guest)
        ended = ended or self._presence.ended(guest.key)
        outcome, message = _verdict(ended, state, "")
        self._stream.emit(
            GuestEnded(
                at=self._stream.now(), guest=guest.key, outcome=outcome, ended=ended, state=state, message=message
            )
        )

    async def _tell_the_end(self) -> None:
        until = self._parts.deadline.end
        await self._parts.hooks.fire(
            "post_shutdown", until=None if until == math.inf else until, report=self._stream.story.report()
        )


async def _all(tasks: Sequence["asyncio.Task[None]"]) -> None:
    await asyncio.wait(tasks)


def _verdict(ended: Ended | None, state: GuestState, skipped: str) -> tuple[Outcome, str]:
    if ended:
        return OUTCOMES[ended], "crashed" if ended is Ended.CRASHED else ""
    if state is GuestState.UNKNOWN:
        return Outcome.UNKNOWN, "libvirt could not be asked whether it is off"
    if skipped:
        return Outcome.SKIPPED, skipped
    return Outcome.LEFT, f"still {state.value}"
