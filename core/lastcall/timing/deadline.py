"""One monotonic budget from which every wait of a run is cut."""

import math

from lastcall.formats.values import value
from lastcall.timing.budget import (
    AFTERMATH,
    ENDING,
    GRACE,
    LEAST_GRACE,
    LEAST_LAST_RESORT,
    LEAST_RESERVE,
    PLUG,
    RESERVE,
)


@value
class Deadline:
    """The milestones of a run on the monotonic clock (seconds; `math.inf` where the run has no limit).

    `last_ask`: whoever was not asked is asked now. `last_resort`: nobody is asked nicely any more. `last_plug`: of a
    last resort of several steps the last one is taken. `last_hook`: guests are done with, `post_shutdown` gets what is
    left until `end`.
    """

    last_ask: float
    last_resort: float
    last_plug: float
    last_hook: float
    end: float

    @property
    def hung_plug(self) -> float:
        """When the plug of a guest is pulled whose QEMU is known to hang: early enough to be confirmed."""
        return min(self.last_resort, self.last_hook - PLUG)

    @property
    def confirms(self) -> bool:
        """Whether even the plug of a QEMU that turns out to hang at the last resort is confirmed in time."""
        return self.end == math.inf or self.last_hook - self.last_resort >= PLUG

    @classmethod
    def after(
        cls, start: float, limit: float | None, *, reserve: float = 0.0, grace: float = 0.0, heard: bool = True
    ) -> "Deadline":
        """Cut `limit` seconds from `start`. `heard`: somebody listens to `post_shutdown`.

        The reserve takes at most a third, of a short deadline half of it; the grace at most a quarter. However small
        the reserve, the last resort has a moment in which plugs can be pulled.
        """
        if limit is None:
            return cls(math.inf, math.inf, math.inf, math.inf, math.inf)
        end = start + limit
        # 30 s of reserve and 30 s of grace would leave nothing of a battery's last minute to stop guests in order.
        reserve = min(reserve, max(RESERVE.of(limit), min(LEAST_RESERVE, limit / 2)))
        grace = max(grace, LEAST_GRACE.seconds, limit * LEAST_GRACE.part)
        # Also where no time is kept: what cannot be asked for any more would be reported as unknown.
        last_hook = end - max(AFTERMATH.of(reserve) if heard else 0.0, ENDING.of(limit))
        # Refused as the configuration is read, such a reserve would keep a host that stops from its own settings.
        last_resort = min(end - reserve, last_hook - LEAST_LAST_RESORT.of(limit))
        return cls(
            last_ask=last_resort - min(grace, GRACE.of(limit)),
            last_resort=last_resort,
            last_plug=max(last_resort, last_hook - PLUG),
            last_hook=last_hook,
            end=end,
        )

    @property
    def grace(self) -> float:
        """Seconds between a request that comes late and the last resort."""
        return 0.0 if self.last_resort == math.inf else self.last_resort - self.last_ask

    def since(self, start: float) -> "Deadline":
        """The same, counted from a moment."""
        return Deadline(
            self.last_ask - start, self.last_resort - start, self.last_plug - start, self.last_hook - start,
            self.end - start,
        )  # fmt: skip

    def last_ask_after(self, start: float) -> float | None:
        """Seconds from a run's start to the last ask, as its record tells them; None = no limit."""
        return _after(start, self.last_ask)

    def last_resort_after(self, start: float) -> float | None:
        """The same to the last resort."""
        return _after(start, self.last_resort)

    def remaining(self, now: float) -> float | None:
        """Seconds until the end, never negative; None = no limit."""
        return None if self.end == math.inf else max(0.0, self.end - now)


def _after(start: float, moment: float) -> float | None:
    return None if moment == math.inf else round(moment - start, 3)


def soonest(*limits: float | None) -> float | None:
    """The smallest of several limits, where None is no limit."""
    given = [limit for limit in limits if limit is not None and limit != math.inf]
    return min(given, default=None)
