"""One guest's way off: its turn, its hooks, its ladder, the last resort, and what libvirt says in the end."""

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from lastcall.api.guests import Ended, Guest, GuestState, Outcome
from lastcall.formats.values import value
from lastcall.guests.ladder import Climbed, Ladder
from lastcall.guests.on_poweroff import PoweroffAction
from lastcall.guests.other_jobs import OtherJobs
from lastcall.hooks.dispatch import Hooks
from lastcall.hypervisor.ports import Condition, OtherJob
from lastcall.ordering.scheduler import Scheduler
from lastcall.planning.plan import CORE_METHOD, SAVE, PlannedGuest, Step
from lastcall.records.credit import Credit
from lastcall.records.records import GuestBegun, GuestEnded, GuestWentOff
from lastcall.records.stream import Stream
from lastcall.timing.budget import STUCK
from lastcall.timing.moment import Moment
from lastcall.timing.phases import Phases

INTERRUPTED = "interrupted before it was asked"
FRESH = 1.0  # seconds for which a look at a guest is believed,
LEAST = 0.1  # seconds for a request that has to leave, where there is no more time than that
FRESH_EACH = 0.005  # and for each guest of the run: in that time libvirt would have been asked for all of them again
Replan = Callable[[PlannedGuest], Awaitable[PlannedGuest]]


@value
class Stopping:
    """What the stops of one run share. `count`: how many there are at its start."""

    ladder: Ladder
    scheduler: Scheduler
    phases: Phases
    hooks: Hooks
    stream: Stream
    replan: Replan
    count: int


class GuestStop:
    """Brings one guest off that was seen running, and then looked at, at these moments of the loop's clock.

    `waited_for`: names of those it had to wait for.
    """

    def __init__(
        self,
        stopping: Stopping,
        planned: PlannedGuest,
        seen_at: float,
        looked_at: float,
        waited_for: Sequence[str] = (),
    ) -> None:
        self._scheduler, self._phases, self._hooks = stopping.scheduler, stopping.phases, stopping.hooks
        self._stream, self._ladder = stopping.stream, stopping.ladder
        self._asker, self._sight = stopping.ladder.tools.asker, stopping.ladder.tools.sight
        self._status, self._hypervisor, self._loop = self._sight.status, self._sight.hypervisor, self._sight.loop
        self._replan, self._seen_at, self._planned_at = stopping.replan, seen_at, looked_at
        self._fresh = FRESH + FRESH_EACH * stopping.count
        self._jobs = OtherJobs(self._sight, self._phases, self._stream)
        self._planned = planned
        self._guest = planned.guest
        self._waited_for = tuple(waited_for)
        self._poweroff = PoweroffAction(self._hypervisor, self._stream, planned.guest, restarts=planned.facts.restarts)

    async def stop(self) -> None:
        """Do all of it. Whoever waits for this guest may move when it is over, however it ended."""
        try:
            if self._planned.left_because:
                self._leave_alone()
                # Those that wait for it wait for those before it, too.
                await self._phases.last_ask.bounds(self._scheduler.turn(self._guest.key))
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
        await self._look_anew()
        await self._wait_for_other_jobs(self._hooks.boxes("on_guest_stop", self._guest, self._planned.hook_timeout))
        why = await self._fire_on_guest_stop()
        if why:
            await self._finish(skipped=why)
            return
        await self._look_anew()
        await self._wait_for_other_jobs()
        if self._phases.asks_no_more:
            await self._finish(skipped=INTERRUPTED)
            return
        await self._climb(in_turn=in_turn)
        await self._finish()

    async def _look_anew(self) -> None:
        """Its turn has come: what it does now, and not at planning, makes its ladder. One that was paused by a backup
        meanwhile was asked as if it ran, refused, and destroyed unasked."""
        if self._status.ended(self._guest.key) is None and not await self._is_as_planned():
            self._planned = await self._replan(self._planned)
            self._guest = self._planned.guest
            self._planned_at = self._seen_at = self._loop.time()

    async def _is_as_planned(self) -> bool:
        now = self._loop.time()
        if now - self._planned_at > self._fresh:
            return False
        # Planned a moment ago, but by a list that is older by what the others took to be looked at: its state tells.
        same = {self._guest.state, GuestState.OFF, GuestState.UNKNOWN}
        return now - self._seen_at <= self._fresh or await self._sight.look_again(self._guest) in same

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

    async def _wait_for_other_jobs(self, hooks: float = 0.0) -> None:
        """Let what somebody else does with it come to its end, as long as there is time: before its hooks, which would
        keep its services down meanwhile, if these have yet to have their seconds."""
        if self._planned.facts.job:
            await self._jobs.wait_for(self._planned, self._planned.facts.job, hooks)
            self._planned_at = -math.inf  # it may have been paused for that alone
            await self._look_anew()

    @property
    def _steps(self) -> tuple[Step, ...]:
        """Its ladder, as far as it is of use: beside a backup libvirt refuses a save after 30 s (error 68)."""
        steps = self._planned.steps
        beside_backup = self._planned.facts.job is OtherJob.BACKUP
        return tuple(step for step in steps if step.method != SAVE) if beside_backup else steps

    async def _climb(self, *, in_turn: bool) -> None:
        """The ladder, then the last resort where the run forces guests."""
        phases = self._phases
        climbed = await self._ask(self._steps, phases.last_resort, out_of_order=not in_turn)
        if climbed.ended is None:
            await self._tell_stuck()
        if climbed.ended is None and phases.forces:
            if not climbed.asked and self._planned.hears and not phases.last_resort.passed:
                # A host stop joined while nothing got through, and has more time for that than the run by hand gave it.
                climbed = await self._ask_plainly(phases.last_resort, out_of_order=not in_turn)
            await self._force(asked=climbed.asked)
        if self._status.ended(self._guest.key) is None:
            await self._poweroff.put_back()

    async def _force(self, *, asked: bool) -> None:
        """The last resort, once it was asked; who was started anew meanwhile is another one, and is asked first."""
        while True:
            if self._planned.hears and not asked:
                await self._ask_late()
            if self._planned.hears:
                await self._give_time()
            if self._status.ended(self._guest.key) or not await self._take_last_resort():
                return
            asked = False

    async def _ask(self, steps: Sequence[Step], until: Moment, *, out_of_order: bool) -> Climbed:
        """The ladder; and libvirt's plain request where nothing in it has asked: nobody meets the plug unasked."""
        climbed = await self._climb_by(steps, until, out_of_order=out_of_order)
        if climbed.ended is None and not climbed.asked and self._planned.hears:
            climbed = await self._ask_as_it_is_now(climbed, until, out_of_order=out_of_order)
        if climbed.ended is None and not climbed.asked and self._planned.hears:
            climbed = await self._ask_plainly(until, out_of_order=out_of_order)
        return climbed

    async def _ask_plainly(self, until: Moment, *, out_of_order: bool) -> Climbed:
        """libvirt's plain request."""
        # Refused for as long as somebody has paused it, its time would be over, and its plug pulled, long before the
        # last resort.
        patient = self._phases.forces and until.at != math.inf
        plain = Step(CORE_METHOD, self._planned.timeout, insists=True, patient=patient)
        return await self._climb_by([plain], until, out_of_order=out_of_order)

    async def _climb_by(self, steps: Sequence[Step], until: Moment, *, out_of_order: bool) -> Climbed:
        held = self._planned.facts.delays_requests
        return await self._ladder.climb(self._guest, steps, until, self._poweroff, out_of_order=out_of_order, held=held)

    async def _ask_as_it_is_now(self, climbed: Climbed, until: Moment, *, out_of_order: bool) -> Climbed:
        """Nothing got through: one that was paused meanwhile can still be saved."""
        before, self._planned_at = self._guest.state, -math.inf
        await self._look_anew()
        if self._guest.state is before:
            return climbed
        return await self._climb_by(self._steps, until, out_of_order=out_of_order)

    async def _ask_late(self) -> None:
        """Its turn came only with the last resort, or nothing got through until then: it is asked now, and gets a part
        of what is left. With milestones that had passed before its turn every plug was pulled unasked, and it was 0."""
        while (until := self._phases.patience(self._loop.time())) is not None:
            era = self._status.era(self._guest.uri)
            climbed = await self._ask(self._steps, until, out_of_order=True)
            was_there = not self._status.away(self._guest.uri) and era == self._status.era(self._guest.uri)
            if was_there and not climbed.asked and not climbed.ended and until.passed:
                # To look what it does now took the time that there was.
                await self._ask_plainly(Moment(self._loop, self._loop.time() + LEAST), out_of_order=True)
            if climbed.asked or climbed.ended or was_there:
                return
            # While its connection is dead no plug arrives either. When it was back, the plug came before the request.
            await self._sight.reach(self._guest, self._phases.last_hook.at)
            # One that was off by itself by then was reported as asked, by a request that was refused for that.
            if await self._sight.look_again(self._guest) is GuestState.OFF:
                return

    async def _give_time(self) -> None:
        """Asked a moment before the last resort, or late in the time for that, it gets its time all the same."""
        asked = self._stream.story.result(self._guest.key).asked
        if asked is None or not self._phases.last_resort.passed:
            return
        until = self._phases.patience(self._stream.start + asked)
        if until is not None:
            await self._sight.wait_for(self._guest, until)

    async def _take_last_resort(self) -> bool:
        """Its last step gets the time it needs; those before it share what comes before. True: it was started anew."""
        phases, steps = self._phases, self._planned.last_resort
        if self._planned.facts.job is OtherJob.BACKUP and any(step.method == SAVE for step in steps):
            # It ends with its guest in any case, and keeps the guest's memory from being saved.
            await self._jobs.end(self._guest, phases.last_plug)
        # A save that hangs must leave the plug the 12 s that it may take.
        if steps[:-1] and not phases.last_plug.passed:
            climbed = await self._ladder.climb(self._guest, steps[:-1], phases.last_plug, self._poweroff)
            if climbed.started:
                return True
        if not steps or self._status.ended(self._guest.key):
            return False
        last = replace(steps[-1], insists=True)
        return (await self._ladder.climb(self._guest, [last], phases.last_hook, self._poweroff)).started

    async def _tell_stuck(self) -> None:
        if self._hooks.listens("on_guest_stuck", self._guest):
            now = self._phases.terms.clock()
            until = now + STUCK.of(max(0.0, self._phases.last_hook.at - now))
            attempts = self._stream.story.result(self._guest.key).attempts
            await self._hooks.fire("on_guest_stuck", self._guest, until=until, attempts=attempts)

    async def _finish(self, skipped: str = "") -> None:
        """Decide what became of the guest by what libvirt says, and tell the plugins."""
        await self.account(skipped, until=self._phases.last_hook.at)
        result = self._stream.story.result(self._guest.key)
        await self._hooks.fire("on_guest_stopped", self._guest, until=self._phases.last_hook.at, result=result)

    async def account(self, skipped: str = "", *, until: float) -> None:
        """Decide what became of the guest by what libvirt says, asked at most until a moment of the loop's clock."""
        if self._status.ended(self._guest.key) is None:
            # libvirt-guests counts a guest as stopped when it cannot ask for it; here only libvirt's own word counts.
            await self._sight.reach(self._guest, until)
        ended = self._status.ended(self._guest.key)
        state = GuestState.OFF if ended else await self._sight.look_again(self._guest, until)
        ended = ended or self._status.ended(self._guest.key)
        if ended:
            self._stream.emit(GuestWentOff(at=self._stream.now(), guest=self._guest.key, ended=ended))
            heard = [method for method, _ in self._stream.story.heard(self._guest.key)]
            credit = Credit.of(ended, self._guest, heard, self._asker.outcome)
            message = credit.message or self._unasked(credit.outcome) or self._kept()
            self._decide(credit.outcome, credit.method, ended, message, state)
        else:
            self.leave(state, skipped)

    def leave(self, state: GuestState, skipped: str = "") -> None:
        """Decide what became of the guest as libvirt says that it is in this state, or says nothing."""
        outcome, message = _not_off(state, skipped)
        # Of one that libvirt says nothing about, that its plug was pulled says nothing either.
        pulled = self._plug_pulled() if outcome is Outcome.LEFT else ""
        self._decide(outcome, message=pulled or message, state=state)

    @property
    def leaves(self) -> bool:
        """Whether the guest is left alone."""
        return bool(self._planned.left_because)

    @property
    def arrives(self) -> bool:
        """Whether the guest was about to migrate here when it was planned: it may run where it came from."""
        return self._planned.facts.condition is Condition.ARRIVING

    @property
    def changed(self) -> bool:
        """Whether something of the guest is not as it was, although it may run on; see `PoweroffAction`."""
        return self._poweroff.changed

    async def put_back(self) -> None:
        """Make the guest what it was, where it runs on."""
        await self._poweroff.put_back()

    def _unasked(self, outcome: Outcome) -> str:
        asked = self._stream.story.result(self._guest.key).asked
        return "was never asked" if outcome is Outcome.FORCED and asked is None else ""

    def _kept(self) -> str:
        return "its backup goes on" if self._status.kept(self._guest.key) else ""

    def _plug_pulled(self) -> str:
        """Said of a guest whose plug was pulled and that is not off yet, by libvirt's word."""
        heard, outcome_of = self._stream.story.heard(self._guest.key), self._asker.outcome
        pulled = [at for method, at in heard if outcome_of(method) is Outcome.FORCED]
        return f"its plug was pulled {self._stream.since(pulled[-1]):.1f} s before the end" if pulled else ""

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


def _not_off(state: GuestState, skipped: str) -> tuple[Outcome, str]:
    if state is GuestState.UNKNOWN:
        return Outcome.UNKNOWN, "libvirt could not be asked whether it is off"
    if skipped:
        return Outcome.SKIPPED, skipped
    return Outcome.LEFT, f"still {state.value}"
