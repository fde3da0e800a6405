"""Why a run takes place and by when it has to be over: what a host stop that joins changes for everybody at once."""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import field

from lastcall.api.guests import Reason
from lastcall.formats.values import changing
from lastcall.timing.budget import Share
from lastcall.timing.deadline import Deadline


@changing
class Terms:
    """The terms of one run. `clock` is that of the loop, and may be read from any thread."""

    reason: Reason
    deadline: Deadline
    clock: Callable[[], float]
    _steps: set[Callable[[], None]] = field(default_factory=set[Callable[[], None]])

    def change(self, deadline: Deadline) -> None:
        """Have another deadline from now on, also for the steps that are under way."""
        self.deadline = deadline
        for bound in list(self._steps):
            bound()

    @asynccontextmanager
    async def bounded(
        self, share: Share, most: float = math.inf, *, once_changed: bool = False
    ) -> AsyncGenerator[None]:
        """Within, a step takes at most this share of the time that was left at its beginning, and `most` seconds.

        `once_changed`: the step knows by itself, and has to be told only of another deadline. Raises TimeoutError.
        """
        # What was begun at leisure outlived the end of a run that was told meanwhile of the little time it has.
        ends = self.end_of(share, most)
        async with asyncio.timeout(None) as limit:

            def bound() -> None:
                if not limit.expired():
                    limit.reschedule(None if ends() == math.inf else ends())

            if not once_changed:
                bound()
            self._steps.add(bound)
            try:
                yield
            finally:
                self._steps.discard(bound)

    def end_of(self, share: Share, most: float = math.inf) -> Callable[[], float]:
        """When a step is over that begins now and takes this share of what is left, and at most `most` seconds, by the
        deadline that counts when it is asked (on the clock)."""
        began = self.clock()
        return lambda: began + min(most, share.of(self.deadline.remaining(began)))

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
