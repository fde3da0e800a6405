"""One guest's plan, by what the guest does now that its turn has come."""

import math

from lastcall.api.guests import Guest, GuestState
from lastcall.guests.other_jobs import OtherJobs
from lastcall.guests.rungs.post_copy import follows
from lastcall.guests.stopping import Stopping
from lastcall.hypervisor.ports import Condition, OtherJob
from lastcall.planning.plan import SAVE, PlannedGuest, Step

FRESH = 1.0  # seconds for which a look at a guest is believed,
FRESH_EACH = 0.005  # and for each guest of the run: in that time libvirt would have been asked for all of them again


class PresentPlan:
    """The plan for one guest that was seen running, and then looked at, at these moments of the loop's clock."""

    def __init__(self, stopping: Stopping, planned: PlannedGuest, seen_at: float, looked_at: float) -> None:
        self._sight, self._replan = stopping.ladder.tools.sight, stopping.replan
        self._status, self._loop = self._sight.status, self._sight.loop
        self._fresh = FRESH + FRESH_EACH * stopping.count
        self._phases = stopping.phases
        self._jobs = OtherJobs(self._sight, stopping.phases, stopping.stream)
        self._seen_at, self._planned_at = seen_at, looked_at
        self.planned = planned

    @property
    def guest(self) -> Guest:
        """The guest, in the state in which it was seen last."""
        return self.planned.guest

    async def look_anew(self) -> None:
        """Its turn has come: what it does now, and not at planning, makes its ladder. One that was paused by a backup
        meanwhile was asked as if it ran, refused, and destroyed unasked."""
        if self._status.ended(self.guest.key) is None and not await self._is_as_planned():
            self.planned = await self._replan(self.planned)
            self._planned_at = self._seen_at = self._loop.time()

    async def _is_as_planned(self) -> bool:
        now = self._loop.time()
        if now - self._planned_at > self._fresh:
            return False
        # Planned a moment ago, but by a list that is older by what the others took to be looked at: its state tells.
        same = {self.guest.state, GuestState.OFF, GuestState.UNKNOWN}
        return now - self._seen_at <= self._fresh or await self._sight.look_again(self.guest) in same

    def distrust(self) -> None:
        """Have it looked at again, however short a time ago that was."""
        self._planned_at = -math.inf

    async def wait_for_other_jobs(self, hooks: float = 0.0) -> None:
        """Let what somebody else does with it come to its end, as long as there is time: before its hooks, which would
        keep its services down meanwhile, if these have yet to have their seconds."""
        if self.planned.facts.job:
            await self._jobs.wait_for(self.planned, self.planned.facts.job, hooks)
            self.distrust()  # it may have been paused for that alone
            await self.look_anew()
        if self.arrives and self._phases.forces:
            # The host takes the memory of one that is on two hosts from both: it had better be over by then.
            await follows(self._sight, self.guest, self._phases.last_ask)
            self.distrust()
            await self.look_anew()

    @property
    def arrives(self) -> bool:
        """Whether the guest is moving by somebody's migration, and neither all here nor all there."""
        return self.planned.facts.condition is Condition.ARRIVING

    @property
    def is_left(self) -> bool:
        """Whether the guest is left alone, as long as it is not off."""
        return bool(self.planned.left_because) and self._status.ended(self.guest.key) is None

    @property
    def steps(self) -> tuple[Step, ...]:
        """Its ladder, as far as it is of use: beside a backup libvirt refuses a save after 30 s (error 68)."""
        steps = self.planned.steps
        beside_backup = self.planned.facts.job is OtherJob.BACKUP
        return tuple(step for step in steps if step.method != SAVE) if beside_backup else steps
