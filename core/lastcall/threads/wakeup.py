"""One waits, many may wake it."""

import asyncio
import math


class Wakeup:
    """Wakes its one waiter when anything may have changed; what has changed, the waiter looks up itself.

    Cheaper than waiting for several futures: a run with hundreds of guests waits hundreds of times. Loop thread only.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._rung = False
        self._waiter: asyncio.Future[None] | None = None

    def ring(self, *_: object) -> None:
        """Wake the waiter, now or when it comes. Takes any arguments, so that it fits every callback."""
        self._rung = True
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, until: float = math.inf) -> None:
        """Wait for a ring, or until a time of the loop's clock."""
        if self._rung or self._loop.time() >= until:
            await asyncio.sleep(0)  # a waiter that does not have to wait must still let the others move
        else:
            self._waiter = self._loop.create_future()
            timer = None if until == math.inf else self._loop.call_at(until, self.ring)
            try:
                await self._waiter
            finally:
                self._waiter = None
                if timer:
                    timer.cancel()
        self._rung = False
