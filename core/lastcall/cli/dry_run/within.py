"""`plan --within`: what a host stop in so much time would be like, and what would help."""

import asyncio
from collections.abc import Mapping

from lastcall.api.guests import Key
from lastcall.cli.dry_run.look import PlanSeen
from lastcall.planning.history import Usual
from lastcall.planning.plan import SAVE, PlannedGuest, Step
from lastcall.planning.within.candidates import Candidates
from lastcall.planning.within.forced import find_forced
from lastcall.planning.within.scenario import Scenario
from lastcall.planning.within.verdict import TimeVerdict, judge
from lastcall.runs.assembly.parts import Parts
from lastcall.timing.deadline import Deadline


async def look_within(parts: Parts, seen: PlanSeen, seconds: float) -> TimeVerdict:
    """Judge the time that there is, by the plan that was made for it."""
    shutdown, reason = parts.settings.shutdown, parts.context.terms.reason
    guests = [planned.guest for planned in seen.plan.guests]
    scenario = Scenario(
        guests=guests,
        policies=parts.policies,
        around=parts.inventory.circumstances(shutdown.parallel, limited=True),
        limits=parts.connections.limits(shutdown.parallel),
        hooks=seen.outlook.hooks,
        known=seen.outlook.own,
        deadline=seen.outlook.deadline,
        unfit={line.planned.guest.key: line.unfit for line in seen.lines},
    )
    played, own = scenario.play(), shutdown.by_reason.get(reason)
    forced = find_forced(played)
    candidates = Candidates(
        scenario=scenario,
        played=played,
        troubled=tuple(forced.usually or forced.at_worst),
        saves=await _saves(parts, seen),
        parallel_setting=f"shutdown.{f'by_reason.{reason.value}.' if own and own.parallel is not None else ''}parallel",
    )
    heard = parts.hooks.listens("post_shutdown")

    def cut(limit: float) -> Deadline:
        return Deadline.after(0.0, limit, reserve=shutdown.reserve, grace=shutdown.grace, heard=heard)

    return judge(candidates, seconds, cut)


async def _saves(parts: Parts, seen: PlanSeen) -> Mapping[Key, Usual]:
    """What earlier saves tell of the guests that are asked to stop and can be saved."""
    known = seen.history.usual_of((planned.guest.key for planned in seen.plan.guests), SAVE)
    asked = [one for one in seen.plan.guests if one.guest.key in known and _may_be_saved(parts, one)]
    unfit = await asyncio.gather(*(parts.asker.unfit(one.guest, Step(SAVE, one.timeout)) for one in asked))
    return {one.guest.key: known[one.guest.key] for one, why in zip(asked, unfit, strict=True) if not why}


def _may_be_saved(parts: Parts, planned: PlannedGuest) -> bool:
    savable = SAVE in parts.methods and planned.guest.persistent and not planned.facts.unsaveable
    return savable and not planned.left_because and all(step.method != SAVE for step in planned.steps[:1])
