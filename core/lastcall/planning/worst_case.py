"""What a planned run is going to be like: when each guest is asked, usually and at worst, and whether it fits."""

import math
from collections.abc import Mapping

from lastcall.api.guests import Key
from lastcall.api.results import StopForecast
from lastcall.errors import Problem, Severity
from lastcall.formats.quantities import format_duration
from lastcall.formats.values import value
from lastcall.ordering.queue import ParallelLimits
from lastcall.planning.forecast import Forecast, chains, forecast
from lastcall.planning.history import Usual
from lastcall.planning.hook_times import HookTimes
from lastcall.planning.plan import Plan, PlannedGuest
from lastcall.timing.deadline import Deadline


@value(kw_only=True)
class Outlook:
    """`usual` takes the times of earlier runs, `worst` every time that is configured; both begin after `pre_shutdown`.

    `own`: what earlier runs tell of each guest, without its hooks. Guests that are not in it are `unknown`; of these
    `usual` counts no more than the hooks that were seen. `endless`: guests whose last rung lasts until the last resort.
    `watched`: those of neighbours that are waited for.
    `deadline` counts from the start of the run.
    """

    usual: Forecast
    worst: Forecast
    hooks: HookTimes
    own: Mapping[Key, Usual]
    unknown: frozenset[Key]
    endless: frozenset[Key]
    deadline: Deadline
    watched: frozenset[Key] = frozenset()

    def usually(self, key: Key) -> float:
        """When a guest is asked by the times of earlier runs: never later than everybody is."""
        return min(self.hooks.usually_before + self.usual.starts.get(key, 0.0), self.deadline.last_ask)

    def latest(self, key: Key) -> float:
        """When a guest is asked at the latest."""
        return min(self.hooks.before + self.worst.starts.get(key, 0.0), self.deadline.last_ask)

    @property
    def usual_end(self) -> float:
        """When the last guest is off, by the times of earlier runs."""
        return self.hooks.usually_before + self.usual.total

    @property
    def worst_end(self) -> float:
        """When the last guest is off, if every time is used up that is configured."""
        return self.hooks.before + self.worst.total

    @property
    def longest(self) -> tuple[float, tuple[Key, ...]]:
        """The longest chain at worst: seconds from its beginning, and its guests. An endless rung lasts until the last
        resort, which a chain of finite ones may well not reach.
        """
        until = self.deadline.last_resort - self.hooks.before
        endless = [key for key in self.worst.starts if key in self.endless]
        if not endless or until <= self.worst.total or until == math.inf:
            return self.worst.total, tuple(self.worst.path)
        return until, (max(endless, key=lambda key: self.worst.starts[key]),)

    @property
    def fits(self) -> bool:
        """Whether even the worst case leaves everybody the time that is configured."""
        return self.worst_end <= self.deadline.last_resort

    @property
    def in_short(self) -> StopForecast:
        """The figures of it, for whoever tells no more than these."""
        return StopForecast(
            guests=len(self.worst.starts.keys() - self.watched),
            unknown=len(self.unknown),
            usual=None if self.unknown and not self.own else round(self.usual_end, 2),
            worst=round(self.hooks.before + self.longest[0], 2),
            last_resort=_limit(self.deadline.last_resort),
            deadline=_limit(self.deadline.end),
            fits=self.fits,
        )

    def problem(self, names: Mapping[Key, str]) -> Problem | None:
        """Say it where the worst case does not fit."""
        if self.fits:
            return None
        chain = " → ".join(names[key] for key in self.worst.path)
        before = self.hooks.before
        late = [key for key in self.worst.starts if before + self.worst.starts[key] > self.deadline.last_ask]
        asked = f"; {len(late)} of {len(names)} guests would be asked out of order" if late else ""
        return Problem(
            what="deadline",
            where="shutdown.deadline",
            message=f"the worst case ({chain}) takes {format_duration(round(self.worst_end))}, and the last resort "
            f"begins after {format_duration(round(self.deadline.last_resort))}{asked}",
            remedy="raise shutdown.deadline, or lower the timeouts of these guests",
            severity=Severity.WARNING,
        )


def look_ahead(
    plan: Plan, known: Mapping[Key, Usual], limits: ParallelLimits, hooks: HookTimes, deadline: Deadline
) -> Outlook:
    """Play the plan through with the times of earlier runs (`known`), and with those that are configured."""
    waits = plan.graph.needed_by
    guests = [planned for planned in plan.guests if not planned.left_because]
    keys = [one.guest.key for one in guests]
    patience = {one.guest.key: one.watched for one in plan.guests if one.watched is not None}
    watched = frozenset(key for key, seconds in patience.items() if seconds)
    own = {key: known[key] for key in (*keys, *watched) if key in known}
    usual = {key: own[key].seconds + hooks.expected_of(key) if key in own else hooks.seen_of(key) for key in keys}
    worst = {one.guest.key: hooks.most_of(one.guest.key) + at_worst(one) for one in guests}
    # Nobody is waited for any more when everybody is asked.
    latest = max(0.0, deadline.last_ask - hooks.before)
    usual |= {key: min(own[key].seconds if key in own else 0.0, patience[key]) for key in watched}
    worst |= {key: min(patience[key], latest) for key in watched}
    lengths = chains(waits, {planned.guest.key: 1.0 for planned in plan.guests})

    def rank(key: Key) -> float:
        return -lengths.get(key, 0.0)

    return Outlook(
        usual=forecast(waits, usual, limits, rank, patience),
        worst=forecast(waits, worst, limits, rank, patience),
        hooks=hooks,
        own=own,
        unknown=frozenset((*keys, *watched)) - own.keys(),
        endless=frozenset(one.guest.key for one in guests if is_endless(one)),
        deadline=deadline,
        watched=frozenset(patience),
    )


def _limit(moment: float) -> float | None:
    return round(moment, 2) if moment < math.inf else None


def at_worst(planned: PlannedGuest) -> float:
    """The times of all rungs that have one, in seconds; what lasts until the last resort fits by itself."""
    return math.fsum(step.timeout or 0.0 for step in planned.steps)


def is_endless(planned: PlannedGuest) -> bool:
    """Whether a rung lasts until the last resort."""
    return any(step.timeout is None for step in planned.steps)
