"""What is kept of a plan beside what happens then: when each guest was to be asked and off, and how."""

from collections.abc import Mapping
from dataclasses import replace

from lastcall.api.guests import Key
from lastcall.api.results import PlannedRung, PlannedStop
from lastcall.planning.plan import Plan, PlannedGuest
from lastcall.planning.worst_case import Outlook


def planned_stops(plan: Plan, outlook: Outlook) -> Mapping[Key, PlannedStop]:
    """What is planned for each guest that is going to be stopped; seconds from the start of the run.

    `outlook` counts from `pre_shutdown` on.
    """
    ladders: dict[tuple[PlannedRung, ...], tuple[PlannedRung, ...]] = {}
    found: dict[Key, PlannedStop] = {}
    for planned in plan.guests:
        if not planned.left_because:
            stop = _stop(planned, outlook)
            # A thousand guests have a handful of ladders, and each is kept once.
            found[planned.guest.key] = replace(stop, rungs=ladders.setdefault(stop.rungs, stop.rungs))
    return found


def _stop(planned: PlannedGuest, outlook: Outlook) -> PlannedStop:
    key = planned.guest.key
    usual, worst, seen = outlook.usual, outlook.worst, planned.guest.key in outlook.own
    asked, latest = outlook.usually(key), outlook.latest(key)
    off = latest + worst.ends.get(key, 0.0) - worst.starts.get(key, 0.0)
    ends = key not in outlook.endless and off <= outlook.deadline.last_resort
    return PlannedStop(
        asked_usually=round(asked, 2) if seen else None,
        off_usually=round(asked + usual.ends.get(key, 0.0) - usual.starts.get(key, 0.0), 2) if seen else None,
        asked_latest=round(latest, 2),
        off_latest=round(off, 2) if ends else None,
        rungs=tuple(PlannedRung(step.method, step.timeout) for step in planned.steps),
        last_resort=tuple(step.method for step in planned.last_resort),
    )
