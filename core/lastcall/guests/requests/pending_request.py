"""One request that was made to a guest: whether it has left for libvirt, and how it was answered."""

import asyncio
import math
from collections.abc import Awaitable, Callable

from lastcall.threads.error_trace import let_go_of_frames

EARLY = 0.001  # seconds by which a timer may come too early; it is the clock's resolution, or a rounded sum


class PendingRequest:
    """A request under way. `given_until`: when it is given up; `left_at`: when it left for libvirt (the loop's clock).

    `unread`: nobody has looked at its answer yet; `refused`: libvirt has refused it.
    """

    __slots__ = ("_clock", "_error", "_task", "given_until", "left_at", "refused", "unread")

    def __init__(self, clock: Callable[[], float], given_until: float = math.inf) -> None:
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._error: Exception | None = None
        self.given_until = given_until
        self.left_at: float | None = None
        self.unread, self.refused = True, False

    def begin(
        self, request: Callable[[], Awaitable[None]], loop: asyncio.AbstractEventLoop, tell: Callable[[], None]
    ) -> None:
        """Make it in a task of its own, and have `tell` called when it is over."""
        self._task = loop.create_task(self._make(request))
        self._task.add_done_callback(lambda _: tell())

    async def _make(self, request: Callable[[], Awaitable[None]]) -> None:
        # A task that ends in an error, or cancelled, keeps all frames that it came through, in a circle that Python
        # 3.11 does not see: three kilobytes of each guest, until the end of the run.
        try:
            await request()
        except asyncio.CancelledError:
            return  # given up, see `abandon`
        except Exception as error:  # noqa: BLE001  who climbs the rung looks at it
            let_go_of_frames(error)
            self._error = error

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
    def error(self) -> Exception | None:
        """What it has failed with, if it has."""
        return self._error if self.answered else None

    async def abandon(self) -> None:
        """Give up the answer only: the worker may hang in libvirt, where nothing can end it."""
        self.unread = False  # there is none: an end without an error would pass for libvirt's consent
        if self._task and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})
