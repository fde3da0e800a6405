"""Why a run takes place and by when it has to be over: what a host stop that joins changes for everybody at once."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from lastcall.api.guests import Reason
from lastcall.timing.budget import Share
from lastcall.timing.deadline import Deadline


@dataclass(slots=True, eq=False, repr=False)
class Terms:
    """The terms of one run. `clock` is that of the loop, and may be read from any thread."""

    reason: Reason
    deadline: Deadline
    clock: Callable[[], float]

    def left(self) -> float | None:
        """Seconds until the run is over; None = no limit."""
        return self.deadline.remaining(self.clock())

    def share(self, share: Share) -> float:
        """A share of these seconds."""
        return share.of(self.left())

    def soon(self, share: Share) -> float:
        """When a share of these seconds will be over, on the loop's clock."""
        return self.clock() + self.share(share)

    @property
    def until(self) -> float | None:
        """When the run is over, on the loop's clock; None = no limit."""
        return None if self.deadline.end == math.inf else self.deadline.end
