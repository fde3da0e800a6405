"""What a drill or shedding makes of a guest's plan: it forces nobody, and stops nobody that could not be started."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lastcall.api.guests import Outcome, Reason
from lastcall.planning.plan import PlannedGuest

BRINGS_BACK: Mapping[Reason, str] = {Reason.DRILL: "a drill", Reason.SHED: "shedding"}
"""The runs whose guests come back in any case, and how each is called."""


def as_unforced(planned: PlannedGuest, methods: Mapping[str, Any], reason: Reason) -> PlannedGuest:
    """The same guest in a run for one of these reasons. `methods` are the stop methods by name."""
    if planned.left_because:
        return planned
    if not planned.guest.persistent:
        # libvirt forgets it when it is off.
        return _left(planned, "transient: nobody could start it again")
    # A ladder may end in `destroy`: what is right for a host that goes down is none for a working day.
    steps = tuple(step for step in planned.steps if not _forces(methods.get(step.method)))
    if all(step.prepares for step in steps):
        return _left(planned, f"nothing in its ladder asks it, and {BRINGS_BACK[reason]} forces nobody off")
    # Its last resort stays: such a run never takes it, and a host stop may join. And whatever its settings say of being
    # brought back: who is stopped so is started again.
    return replace(planned, steps=steps, restore=True)


def _forces(method: Any) -> bool:
    return method is not None and method.outcome is Outcome.FORCED


def _left(planned: PlannedGuest, why: str) -> PlannedGuest:
    return replace(planned, steps=(), last_resort=(), restore=False, left_because=why)
