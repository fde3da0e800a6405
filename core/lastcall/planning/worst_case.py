"""What a planned run is going to be like: when each guest is asked, usually and at worst, and whether it fits."""

import math
from collections.abc import Mapping

from lastcall.api.guests import Key
from lastcall.errors import Problem, Severity
from lastcall.formats.quantities import format_duration
from lastcall.formats.values import value
from lastcall.ordering.queue import ParallelLimits
from lastcall.planning.forecast import Forecast, chains, forecast
from lastcall.planning.history import History
from lastcall.planning.plan import Plan, PlannedGuest
from lastcall.timing.deadline import Deadline


@value(kw_only=True)
class HookTime:
    """The most that hooks may take: all of `pre_shutdown`, and `on_guest_stop` of each guest; seconds."""

    before: float = 0.0
    guests: Mapping[Key, float]


@value(kw_only=True)
class Outlook:
    """`usual` takes the times of earlier runs, `worst` every time that is configured; both begin after `before`.

    `unknown`: guests that no earlier run saw; they count nothing in `usual`. `endless`: guests whose last rung lasts
    until the last resort. `deadline` counts from the start of the run.
    """

    usual: Forecast
    worst: Forecast
    before: float
    unknown: frozenset[Key]
    endless: frozenset[Key]
    deadline: Deadline

    def latest(self, key: Key) -> float:
        """When a guest is asked at the latest."""
        return min(self.before + self.worst.starts.get(key, 0.0), self.deadline.last_ask)

    @property
    def longest(self) -> tuple[float, tuple[Key, ...]]:
        """The longest chain at worst: seconds from its beginning, and its guests. An endless rung lasts until the last
        resort, which a chain of finite ones may well not reach.
        """
        until = self.deadline.last_resort - self.before
        endless = [key for key in self.worst.starts if key in self.endless]
        if not endless or until <= self.worst.total or until == math.inf:
            return self.worst.total, tuple(self.worst.path)
        return until, (max(endless, key=lambda key: self.worst.starts[key]),)

    @property
    def fits(self) -> bool:
        """Whether even the worst case leaves everybody the time that is configured."""
        return self.before + self.worst.total <= self.deadline.last_resort

    def problem(self, names: Mapping[Key, str]) -> Problem | None:
        """Say it where the worst case does not fit."""
        if self.fits:
            return None
        chain = " → ".join(names[key] for key in self.worst.path)
        total, left = self.before + self.worst.total, self.deadline.last_resort
        late = [key for key in self.worst.starts if self.before + self.worst.starts[key] > self.deadline.last_ask]
        asked = f"; {len(late)} of {len(names)} guests would be asked out of order" if late else ""
        return Problem(
            what="deadline",
            where="shutdown.deadline",
            message=f"the worst case ({chain}) takes {format_duration(round(total))}, and the last resort begins after "
            f"{format_duration(round(left))}{asked}",
            remedy="raise shutdown.deadline, or lower the timeouts of these guests",
            severity=Severity.WARNING,
        )


def look_ahead(plan: Plan, history: History, limits: ParallelLimits, hooks: HookTime, deadline: Deadline) -> Outlook:
    """Play the plan through with the times of earlier runs, and with those that are configured."""
    waits = plan.graph.needed_by
    guests = [planned for planned in plan.guests if not planned.left_because]
    known = {one.guest.key: history.usual(one.guest.key) for one in guests}
    usual = {key: time for key, time in known.items() if time is not None}
    worst = {one.guest.key: hooks.guests.get(one.guest.key, 0.0) + _at_worst(one) for one in guests}
    lengths = chains(waits, {planned.guest.key: 1.0 for planned in plan.guests})

    def rank(key: Key) -> float:
        return -lengths.get(key, 0.0)

    return Outlook(
        usual=forecast(waits, usual, limits, rank),
        worst=forecast(waits, worst, limits, rank),
        before=hooks.before,
        unknown=frozenset(key for key, time in known.items() if time is None),
        endless=frozenset(one.guest.key for one in guests if _endless(one)),
        deadline=deadline,
    )


def _at_worst(planned: PlannedGuest) -> float:
    """The times of all rungs that have one; what lasts until the last resort fits by itself."""
    return math.fsum(step.timeout or 0.0 for step in planned.steps)


def _endless(planned: PlannedGuest) -> bool:
    return any(step.timeout is None for step in planned.steps)
