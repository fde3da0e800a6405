"""All that is tried to bring one guest off: its ladder, libvirt's plain request, and the last resort."""

import math
from collections.abc import Sequence
from dataclasses import replace

from lastcall.api.guests import Guest, GuestState, Outcome
from lastcall.guests.other_jobs import OtherJobs
from lastcall.guests.present_plan import PresentPlan
from lastcall.guests.rungs.ladder import Climbed
from lastcall.guests.rungs.on_poweroff import PoweroffAction
from lastcall.guests.stopping import Stopping
from lastcall.hypervisor.ports import OtherJob
from lastcall.planning.plan import CORE_METHOD, SAVE, PlannedGuest, Step
from lastcall.threads.wakeup import Wakeup
from lastcall.timing.budget import PLUG, STUCK
from lastcall.timing.moment import Moment

STATE_LOOK = 0.5  # seconds for asking what it does before its plug is pulled, which needs no QEMU


class StopSequence:
    """Everything that is tried to bring one guest off, in order."""

    def __init__(self, stopping: Stopping, present: PresentPlan, poweroff: PoweroffAction) -> None:
        self._ladder, self._phases, self._hooks = stopping.ladder, stopping.phases, stopping.hooks
        self._stream, self._sight = stopping.stream, stopping.ladder.tools.sight
        self._status, self._loop = self._sight.status, self._sight.loop
        self._jobs = OtherJobs(self._sight, self._phases, self._stream)
        self._present, self._poweroff = present, poweroff
        self.is_cut_short = False  # whether the run turned round before all was tried that there is

    @property
    def _planned(self) -> PlannedGuest:
        return self._present.planned

    @property
    def _guest(self) -> Guest:
        return self._present.guest

    @property
    def _hears(self) -> bool:
        """Whether there is any use, and no harm, in asking it."""
        return self._planned.hears and not self._present.is_left

    async def run(self, *, in_turn: bool) -> None:
        """The ladder, then the last resort where the run forces guests."""
        while True:
            await self._bring_off(in_turn=in_turn)
            if self._status.ended(self._guest.key) or not self._phases.turned:
                break
            await self._wait_out()
            # Where the mains went again meanwhile all of it begins anew.
            if self._status.ended(self._guest.key) or self._phases.turned:
                self.is_cut_short = self._phases.turned
                break
        if self._status.ended(self._guest.key) is None:
            await self._poweroff.put_back()

    @property
    def was_too_late(self) -> bool:
        """Whether the run turned round before its guest could hear anything."""
        asked = self._stream.story.result(self._guest.key).asked
        off = self._status.ended(self._guest.key) is not None
        return self.is_cut_short and asked is None and not off and not self._plug_is_pulled

    async def _wait_out(self) -> None:
        """The mains are back: who was asked has as long to go off as its ladder would have taken, and is asked nothing
        more. One that hears nothing runs on, which is all the better."""
        asked, phases = self._stream.story.result(self._guest.key).asked, self._phases
        if asked is None and not self._plug_is_pulled:
            return
        time_of = self._ladder.tools.asker.time_of
        time = sum(time_of(self._guest, step) for step in self._planned.steps if not step.prepares)
        until = math.inf if asked is None else self._stream.start + asked + time
        wakeup = Wakeup(self._loop)
        with self._status.watch(self._guest.key, wakeup.ring), phases.last_resort.watch(wakeup.ring):
            while phases.turned and not (phases.last_resort.passed or self._is_over) and self._loop.time() < until:
                await wakeup.wait(until)

    @property
    def _is_over(self) -> bool:
        key = self._guest.key
        return self._status.ended(key) is not None or self._status.crashed(key)

    async def _bring_off(self, *, in_turn: bool) -> None:
        phases = self._phases
        climbed = await self._ask(self._present.steps, phases.last_resort, out_of_order=not in_turn)
        if climbed.ended is None and not phases.turned and not self._present.is_left:
            await self._tell_stuck()
        if climbed.ended is None and phases.forces and not await self._is_on_two_hosts():
            if not climbed.asked and self._hears and not phases.last_resort.passed:
                # A host stop joined while nothing got through, and has more time for that than the run by hand gave it.
                climbed = await self._ask_plainly(phases.last_resort, out_of_order=not in_turn)
            await self._force(asked=climbed.asked)

    async def _is_on_two_hosts(self) -> bool:
        """Whether somebody's migration has come since it was asked to where no plug may be pulled. Such a one is paused
        here; to ask for more of one that is not could cost a QEMU that hangs its last seconds."""
        until = min(self._loop.time() + STATE_LOOK, self._phases.last_hook.at - PLUG)
        state = await self._sight.look_again(self._guest, until)
        if state is GuestState.PAUSED:
            self._present.distrust()
            await self._present.look_anew()
        return self._present.is_left

    async def _force(self, *, asked: bool) -> None:
        """The last resort, once it was asked; who was started anew meanwhile is another one, and is asked first."""
        while True:
            if self._hears and not asked:
                await self._ask_late()
            if self._hears:
                await self._give_time()
            if self._status.ended(self._guest.key) or not await self._take_last_resort():
                return
            asked = False

    async def _ask(self, steps: Sequence[Step], until: Moment, *, out_of_order: bool) -> Climbed:
        """The ladder; and libvirt's plain request where nothing in it has asked: nobody meets the plug unasked."""
        climbed = await self._climb_by(steps, until, out_of_order=out_of_order)
        if climbed.ended is None and not climbed.asked and self._hears:
            climbed = await self._ask_as_it_is_now(climbed, until, out_of_order=out_of_order)
        if climbed.ended is None and not climbed.asked and self._hears:
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
        before = self._guest.state
        self._present.distrust()
        await self._present.look_anew()
        if self._guest.state is before:
            return climbed
        return await self._climb_by(self._present.steps, until, out_of_order=out_of_order)

    async def _ask_late(self) -> None:
        """Its turn came only with the last resort, or nothing got through until then: it is asked now, and gets a part
        of what is left. With milestones that had passed before its turn every plug was pulled unasked, and it was 0."""
        while (until := self._phases.patience(self._loop.time())) is not None:
            era = self._status.era(self._guest.uri)
            climbed = await self._ask(self._present.steps, until, out_of_order=True)
            was_there = not self._status.away(self._guest.uri) and era == self._status.era(self._guest.uri)
            more = self._phases.patience(self._loop.time())
            if was_there and not climbed.asked and not climbed.ended and until.passed and more:
                # To look what it does now took the time that there was.
                await self._ask_plainly(more, out_of_order=True)
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
        if asked is None:
            return
        until = self._phases.patience(self._stream.start + asked)
        if until is not None and not self._phases.last_resort.passed:
            # Refused for most of its rung, and heard at last, a guest met the plug 2.5 s later, with 10 s left.
            until.bring_forward(self._stream.start + asked + self._rung_time(asked))
        if until is not None:
            await self._sight.wait_for(self._guest, until)

    def _rung_time(self, asked: float) -> float:
        """Seconds that the rung took in which it was asked: it gets no more of them after that than they were."""
        attempts = self._stream.story.result(self._guest.key).attempts
        return max(
            (one.duration for one in attempts if one.started <= asked <= one.started + one.duration), default=0.0
        )

    async def _take_last_resort(self) -> bool:
        """Its last step gets the time it needs; those before it share what comes before. True: it was started anew."""
        phases, steps = self._phases, self._planned.last_resort
        if phases.turned:
            return False
        if self._planned.facts.job is OtherJob.BACKUP and any(step.method == SAVE for step in steps):
            # It ends with its guest in any case, and keeps the guest's memory from being saved.
            await self._jobs.end(self._guest, phases.last_plug)
        # A save that hangs must leave the plug the 12 s that it may take.
        if steps[:-1] and not phases.last_plug.passed:
            climbed = await self._ladder.climb(self._guest, steps[:-1], phases.last_plug, self._poweroff)
            if climbed.started:
                return True
        if not steps and self._plug_is_pulled:
            # By its ladder: a QEMU that hangs takes 12 s for that, and reported at once it was left, and off a moment
            # later.
            await self._sight.wait_for(self._guest, phases.last_hook)
        if not steps or self._status.ended(self._guest.key):
            return False
        last = replace(steps[-1], insists=True)
        return (await self._ladder.climb(self._guest, [last], phases.last_hook, self._poweroff)).started

    @property
    def _plug_is_pulled(self) -> bool:
        outcome_of = self._ladder.tools.asker.outcome
        return any(outcome_of(method) is Outcome.FORCED for method, _ in self._stream.story.heard(self._guest.key))

    async def _tell_stuck(self) -> None:
        if self._hooks.listens("on_guest_stuck", self._guest):
            now = self._phases.terms.clock()
            until = now + STUCK.of(max(0.0, self._phases.last_hook.at - now))
            attempts = self._stream.story.result(self._guest.key).attempts
            await self._hooks.fire("on_guest_stuck", self._guest, until=until, attempts=attempts)
