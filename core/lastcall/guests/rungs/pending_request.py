"""One request that was made to a guest: whether it has left for libvirt, and how it was answered."""

import asyncio
import math
from collections.abc import Callable

EARLY = 0.001  # seconds by which a timer may come too early; it is the clock's resolution, or a rounded sum


class PendingRequest:
    """A request under way. `given_until`: when it is given up; `left_at`: when it left for libvirt (the loop's clock).

    `unread`: nobody has looked at its answer yet; `refused`: libvirt has refused it.
    """

    __slots__ = ("_clock", "_task", "given_until", "left_at", "refused", "unread")

    def __init__(self, clock: Callable[[], float], given_until: float = math.inf) -> None:
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self.given_until = given_until
        self.left_at: float | None = None
        self.unread, self.refused = True, False

    def begin(self, task: "asyncio.Task[None]", tell: Callable[[], None]) -> None:
        """Have the task make it, and `tell` called when it is over."""
        self._task = task

        def over(task: "asyncio.Task[None]") -> None:
            if not task.cancelled():
                task.exception()  # looked at, so that asyncio does not complain of one that nobody has retrieved
            tell()

        task.add_done_callback(over)

    def note_sent(self) -> None:
        """It leaves for libvirt; one that was abandoned says nothing of those after it."""
        if self.left_at is None:
            self.left_at = self._clock()

    def age(self, now: float) -> float:
        """Seconds since it left for libvirt; `math.inf` where it has not."""
        return math.inf if self.left_at is None else now - self.left_at

    def was_due(self, now: float, until: float) -> bool:
        """Whether it was to be given up by now, and not only at this later moment."""
        return self.given_until <= now + EARLY < until

    @property
    def answered(self) -> bool:
        """Whether it is over, answered or given up."""
        return self._task is not None and self._task.done()

    @property
    def error(self) -> BaseException | None:
        """What it has failed with, if it has."""
        return self._task.exception() if self._task and self._task.done() and not self._task.cancelled() else None

    async def abandon(self) -> None:
        """Give up the answer only: the worker may hang in libvirt, where nothing can end it."""
        self.unread = False  # there is none: an end without an error would pass for libvirt's consent
        if self._task and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})
