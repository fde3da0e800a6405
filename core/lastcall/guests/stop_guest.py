"""One guest's way off: its turn, its hooks, its ladder, the last resort, and what libvirt says in the end."""

import asyncio
from collections.abc import Sequence

from lastcall.api.guests import Ended, Guest, GuestState, Outcome
from lastcall.errors import LastcallError
from lastcall.formats.values import value
from lastcall.guests.ladder import OUTCOMES, Climbed, Ladder
from lastcall.guests.on_poweroff import PoweroffAction
from lastcall.hooks.dispatch import Hooks
from lastcall.hypervisor.guest_facts import Condition
from lastcall.ordering.scheduler import Scheduler
from lastcall.planning.plan import CORE_METHOD, PlannedGuest, Step
from lastcall.records.records import GuestBegun, GuestEnded, GuestWentOff
from lastcall.records.stream import Stream
from lastcall.timing.budget import STUCK
from lastcall.timing.phases import Phases

JOB_POLL = 1.0  # seconds between two looks at somebody else's migration or save
ABORT_TIME = 5.0  # seconds for ending somebody else's migration
INTERRUPTED = "interrupted before it was asked"
_BUSY = frozenset({Condition.LEAVING, Condition.SAVING})


@value
class Stopping:
    """What the stops of one run share."""

    ladder: Ladder
    scheduler: Scheduler
    phases: Phases
    hooks: Hooks
    stream: Stream


class GuestStop:
    """Brings one guest off. `waited_for`: names of those it had to wait for."""

    def __init__(self, stopping: Stopping, planned: PlannedGuest, waited_for: Sequence[str] = ()) -> None:
        self._scheduler, self._phases, self._hooks = stopping.scheduler, stopping.phases, stopping.hooks
        self._stream, self._ladder = stopping.stream, stopping.ladder
        self._status, self._hypervisor = stopping.ladder.status, stopping.ladder.hypervisor
        self._planned = planned
        self._guest = planned.guest
        self._waited_for = tuple(waited_for)
        self._poweroff = PoweroffAction(self._hypervisor, self._stream, planned.guest, restarts=planned.facts.restarts)

    async def stop(self) -> None:
        """Do all of it. Whoever waits for this guest may move when it is over, however it ended."""
        try:
            if self._planned.left_because:
                self._leave_alone()
                await self._scheduler.turn(self._guest.key)  # those that wait for it wait for those before it, too
            else:
                await self._go(in_turn=await self._wait_for_turn())
        finally:
            self._scheduler.done(self._guest.key)

    def _leave_alone(self) -> None:
        arriving = self._planned.facts.condition is Condition.ARRIVING and self._planned.ours
        self._decide(
            Outcome.LEFT if arriving else Outcome.SKIPPED, message=self._planned.left_because, state=self._guest.state
        )

    async def _wait_for_turn(self) -> bool:
        """True when the turn came, False when it was time to ask everybody."""
        scheduler = self._scheduler
        # libvirt-guests never asks those that are still queued when its time is up:
        # two guests that hung starved all others.
        in_turn = scheduler.may_move(self._guest.key) or await self._phases.last_ask.bounds(
            scheduler.turn(self._guest.key)
        )
        self._stream.emit(GuestBegun(at=self._stream.now(), guest=self._guest.key, waited_for=self._waited_for))
        return in_turn

    async def _go(self, *, in_turn: bool) -> None:
        why = await self._fire_on_guest_stop()
        if why:
            await self._finish(Climbed(), skipped=why)
            return
        await self._wait_for_other_jobs()
        if self._phases.asks_no_more:
            await self._finish(Climbed(), skipped=INTERRUPTED)
        else:
            await self._finish(await self._climb(in_turn=in_turn))

    async def _fire_on_guest_stop(self) -> str:
        """Returns why the guest is not to be asked, if so."""
        hooks, why = self._hooks, ""

        async def fire() -> None:
            nonlocal why
            until = min(self._phases.last_ask.at, self._phases.last_resort.at)
            fired = await hooks.fire("on_guest_stop", self._guest, until=until, box=self._planned.hook_timeout)
            if fired.verdict == "skip_guest":
                why = fired.because

        off = self._status.ended(self._guest.key) is not None
        if hooks.listens("on_guest_stop", self._guest) and not self._phases.asks_no_more and not off:
            await self._phases.last_ask.bounds(fire())
        if self._phases.asks_no_more:
            return INTERRUPTED
        if why and not self._phases.voluntary:
            # The host goes down in any case: better asked late, without its hook, than destroyed unasked.
            self._scheduler.done(self._guest.key)
            await self._phases.last_ask.wait()
            return ""
        return why

    async def _wait_for_other_jobs(self) -> None:
        """Let a save or migration that somebody else began come to its end, as long as there is time."""
        # A request beside somebody else's save or migration waits for the domain's job and fails after 30 s (error 68).
        condition = self._planned.facts.condition
        if condition not in _BUSY:
            return
        over = await self._phases.last_ask.bounds(self._until_idle())
        if not over and condition is Condition.LEAVING:
            try:
                # A guest whose migration is ended before it is complete goes on here, and can be asked.
                async with asyncio.timeout(ABORT_TIME):
                    await self._hypervisor.abort_job(self._guest)
            except (LastcallError, TimeoutError) as error:
                self._stream.problem("guest", self._guest.name, f"its migration could not be ended: {error}")

    async def _until_idle(self) -> None:
        while self._status.ended(self._guest.key) is None:
            try:
                found = await self._hypervisor.facts(self._guest.uri, [self._guest])
                if self._guest.key in found and found[self._guest.key].condition not in _BUSY:
                    return
            except (LastcallError, TimeoutError):
                pass  # asked again: who waits here waits for the last moment anyway
            await asyncio.sleep(JOB_POLL)

    async def _climb(self, *, in_turn: bool) -> Climbed:
        """The ladder, then the last resort where the run forces guests."""
        phases, steps = self._phases, self._planned.steps
        climbed = await self._ladder.climb(
            self._guest, steps, phases.last_resort, self._poweroff, out_of_order=not in_turn
        )
        if steps and climbed.ended is None and not climbed.sent:  # nobody meets the last resort unasked
            plain = [Step(CORE_METHOD, steps[-1].timeout)]
            climbed = await self._ladder.climb(
                self._guest, plain, phases.last_resort, self._poweroff, out_of_order=not in_turn
            )
        if climbed.ended is None:
            await self._tell_stuck()
        if climbed.ended is None and phases.forces:
            climbed = await self._take_last_resort()
        if climbed.ended is None:
            await self._poweroff.put_back()
        return climbed

    async def _take_last_resort(self) -> Climbed:
        """Its last step gets the time it needs; those before it share what comes before."""
        *first, last = self._planned.last_resort or (None,)
        climbed = Climbed()
        # A save that hangs must leave the plug the 12 s that it may take.
        if first and not self._phases.last_plug.passed:
            climbed = await self._ladder.climb(
                self._guest, [*filter(None, first)], self._phases.last_plug, self._poweroff
            )
        if last and climbed.ended is None:
            climbed = await self._ladder.climb(self._guest, [last], self._phases.last_hook, self._poweroff)
        return climbed

    async def _tell_stuck(self) -> None:
        if self._hooks.listens("on_guest_stuck", self._guest):
            now = self._phases.terms.clock()
            until = now + STUCK.of(max(0.0, self._phases.last_hook.at - now))
            attempts = self._stream.story.result(self._guest.key).attempts
            await self._hooks.fire("on_guest_stuck", self._guest, until=until, attempts=attempts)

    async def _finish(self, climbed: Climbed, skipped: str = "") -> None:
        """Decide what became of the guest by what libvirt says, and tell the plugins."""
        await self.account(climbed.method, skipped)
        result = self._stream.story.result(self._guest.key)
        await self._hooks.fire("on_guest_stopped", self._guest, until=self._phases.last_hook.at, result=result)

    async def account(self, method: str | None = None, skipped: str = "") -> None:
        """Decide what became of the guest by what libvirt says."""
        if self._status.ended(self._guest.key) is None:
            # libvirt-guests counts a guest as stopped when it cannot ask for it; here only libvirt's own word counts.
            await self._ladder.reach(self._guest)
        ended = self._status.ended(self._guest.key)
        state = GuestState.OFF if ended else await self._ladder.look_again(self._guest)
        ended = ended or self._status.ended(self._guest.key)
        if ended:
            self._stream.emit(GuestWentOff(at=self._stream.now(), guest=self._guest.key, ended=ended))
        outcome, message = _verdict(ended, state, skipped)
        self._decide(outcome, method if ended else None, ended, message, state)

    def _decide(
        self,
        outcome: Outcome,
        method: str | None = None,
        ended: Ended | None = None,
        message: str = "",
        state: GuestState = GuestState.UNKNOWN,
    ) -> None:
        self._stream.emit(
            GuestEnded(
                at=self._stream.now(),
                guest=self._guest.key,
                outcome=outcome,
                method=method,
                ended=ended,
                message=message,
                state=state,
            )
        )

    @property
    def guest(self) -> Guest:
        """The guest."""
        return self._guest


def _verdict(ended: Ended | None, state: GuestState, skipped: str) -> tuple[Outcome, str]:
    if ended:
        return OUTCOMES[ended], "crashed" if ended is Ended.CRASHED else ""
    if state is GuestState.UNKNOWN:
        return Outcome.UNKNOWN, "libvirt could not be asked whether it is off"
    if skipped:
        return Outcome.SKIPPED, skipped
    return Outcome.LEFT, f"still {state.value}"
