"""Stopping one guest: rung by rung, each with its time, until libvirt says that the guest is off."""

from collections.abc import Sequence
from dataclasses import replace

from lastcall.api.guests import Ended, Guest, GuestState
from lastcall.api.results import Verdict
from lastcall.formats.values import value
from lastcall.guests.rungs.on_poweroff import PoweroffAction
from lastcall.guests.rungs.post_copy import follows
from lastcall.guests.rungs.rung import Rung
from lastcall.guests.rungs.rung_tools import RungTools
from lastcall.planning.plan import SAVE, Step
from lastcall.timing.moment import Moment


@value
class Climbed:
    """How far the ladder came. `asked`: the guest can have heard a request: accepted, or not answered in its time.

    `started`: it went off meanwhile, and somebody has started it.
    """

    ended: Ended | None = None
    asked: bool = False
    started: bool = False


@value
class Ladder:
    """Climbs guests' ladders."""

    tools: RungTools

    async def climb(
        self,
        guest: Guest,
        steps: Sequence[Step],
        until: Moment,
        poweroff: PoweroffAction,
        *,
        out_of_order: bool = False,
        held: bool = False,
    ) -> Climbed:
        """Try the steps in order until the guest is off, they are exhausted, or the milestone passes.

        `held`: somebody's job goes on, for which requests wait.
        """
        asked, started, status = False, False, self.tools.sight.status
        for step in steps:
            if until.passed or self.tools.only_waits() or self.tools.over(guest, step):
                break
            if step.moves and self.tools.last_ask.passed:
                continue
            await self._prepare(guest, step, poweroff)
            # Who moves has not been asked: where nobody takes it in time it still wants its time to go off by itself.
            ends = self.tools.last_ask if step.moves else until
            rung = Rung(self.tools, guest, step, ends, out_of_order=out_of_order, held=held)
            verdict = await rung.climb()
            # To resume a guest asks nothing of it, nor does to move it: who was only woken has yet to be asked before
            # the plug is pulled.
            asked = (asked and not rung.started) or (rung.asked and step.asks)
            started |= rung.started
            if step.moves and verdict is Verdict.TIMEOUT and await follows(self.tools.sight, guest, until):
                break
            if status.ended(guest.key) or rung.hangs:
                break
            if step.prepares and verdict is Verdict.OK:
                # Planned as paused it would be unfit for the rungs that follow: ACPI for a paused guest is error 55.
                guest = replace(guest, state=GuestState.RUNNING)
        return Climbed(status.ended(guest.key), asked, started)

    async def _prepare(self, guest: Guest, step: Step, poweroff: PoweroffAction) -> None:
        if not step.moves:
            # Put back for a save that was never sent, and replaced once more, its setting took the time of the one
            # request that the guest would have heard.
            if step.method != SAVE or (poweroff.changed and not await self.tools.asker.unfit(guest, step)):
                await poweroff.prepare_for(step)
        elif not await self.tools.asker.unfit(guest, step):
            await poweroff.prepare_for(step)
            await self.tools.before_move(guest, step.targets)
