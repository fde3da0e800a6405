"""A moment in a run that many wait for, and that can be brought forward."""

import asyncio
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from typing import Any


class Milestone:
    """Passes at a time of the loop's clock (`math.inf` = never by itself), or when somebody hastens it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        self._loop = loop
        self.at = at
        self.passed = False
        self._watchers: set[asyncio.Future[None]] = set()
        self._timer = loop.call_at(at, self.hasten) if at != float("inf") else None

    def hasten(self) -> None:
        """Let it pass now."""
        self.passed = True
        self.cancel()
        for watcher in self._watchers:
            if not watcher.done():
                watcher.set_result(None)

    def cancel(self) -> None:
        """Forget the timer; nobody waits any more."""
        if self._timer:
            self._timer.cancel()

    @contextmanager
    def watch(self) -> Generator[asyncio.Future[None]]:
        """Yield a future of one's own that is done when the milestone has passed."""
        watcher: asyncio.Future[None] = self._loop.create_future()
        if self.passed:
            watcher.set_result(None)
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
            watcher.cancel()

    async def bounds(self, work: Coroutine[Any, Any, object]) -> bool:
        """Run the work until it is done (True) or the milestone passes (False; the work is cancelled)."""
        if self.passed:
            work.close()
            return False
        task = self._loop.create_task(work)
        try:
            with self.watch() as passed:
                await asyncio.wait({task, passed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            finished = task.done()
            if not finished:
                task.cancel()
                await asyncio.wait({task})
        if finished:
            task.result()
        return finished
