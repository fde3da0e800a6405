"""A run as its settings make it, so that other settings can be tried: nothing in it asks anybody."""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace

from lastcall.api.guests import Guest, Key
from lastcall.config.policies import Policies
from lastcall.formats.values import value
from lastcall.ordering.queue import ParallelLimits
from lastcall.planning.history import Usual
from lastcall.planning.hook_times import HookTimes
from lastcall.planning.plan import Circumstances, PlannedGuest, make_plan, with_last_request
from lastcall.planning.worst_case import Outlook, look_ahead
from lastcall.timing.deadline import Deadline


@value(kw_only=True)
class Scenario:
    """All that decides how long a run takes. `known`: what earlier runs tell of guests; `unfit`: rungs of no use."""

    guests: Sequence[Guest]
    policies: Policies
    around: Circumstances
    limits: ParallelLimits
    hooks: HookTimes
    known: Mapping[Key, Usual]
    deadline: Deadline
    unfit: Mapping[Key, Mapping[str, str]] = field(default_factory=dict[Key, Mapping[str, str]])

    def play(self) -> "Played":
        """Plan, and look ahead."""
        plan = make_plan(self.guests, self.policies, self.around)
        meant = tuple(self._meant(planned) for planned in plan.guests)
        outlook = look_ahead(replace(plan, guests=meant), self.known, self.limits, self.hooks, self.deadline)
        return Played(meant, outlook)

    def _meant(self, planned: PlannedGuest) -> PlannedGuest:
        """The guest as it is going to be stopped: a rung that is skipped takes no time."""
        unfit = self.unfit.get(planned.guest.key, {})
        asked = with_last_request(planned, unfit)
        return replace(asked, steps=tuple(step for step in asked.steps if step.method not in unfit)) if unfit else asked


@value
class Played:
    """How a scenario turns out: the guests with the rungs that are of use, and what is to be expected."""

    guests: tuple[PlannedGuest, ...]
    outlook: Outlook
