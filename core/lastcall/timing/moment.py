"""A moment in a run that many wait for, and that can be brought forward."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any

from lastcall.threads.wakeup import Wakeup


class Moment:
    """Passes at a time of the loop's clock (`math.inf` = never by itself), or when somebody hastens it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        self._loop = loop
        self.at = at
        self.passed = False
        self._watchers: dict[Callable[[], None], None] = {}  # in order: runs go the same way each time
        self._timer = loop.call_at(at, self.hasten) if at != float("inf") else None

    def hasten(self) -> None:
        """Let it pass now."""
        self.passed = True
        if self._timer:
            self._timer.cancel()
        for tell in list(self._watchers):
            tell()

    def bring_forward(self, at: float) -> None:
        """Let it pass at an earlier time; a later one changes nothing."""
        if at < self.at:
            self.move(at)

    def move(self, at: float, *, anew: bool = False) -> None:
        """Let it pass at another time, unless it has passed; `anew`: also then, once more."""
        if self.passed and not anew:
            return
        self.at, self.passed = at, False
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self.hasten) if at != float("inf") else None
        for tell in list(self._watchers):
            tell()  # who waits has other moments in mind that move with it: that of a plug which takes long, say

    @contextmanager
    def watch(self, tell: Callable[[], None]) -> Generator[None]:
        """Have `tell` called when it passes, or moves; at once when it has passed."""
        if self.passed:
            tell()
        self._watchers[tell] = None
        try:
            yield
        finally:
            self._watchers.pop(tell, None)

    async def wait(self) -> None:
        """Wait until it has passed."""
        wakeup = Wakeup(self._loop)
        with self.watch(wakeup.ring):
            while not self.passed:
                await wakeup.wait()

    async def bounds(self, work: Coroutine[Any, Any, object]) -> bool:
        """Run the work until it is done (True) or the milestone passes (False; the work is cancelled)."""
        if self.passed:
            work.close()
            return False
        task, wakeup = self._loop.create_task(work), Wakeup(self._loop)
        task.add_done_callback(wakeup.ring)
        try:
            with self.watch(wakeup.ring):
                while not task.done() and not self.passed:
                    await wakeup.wait()
        finally:
            finished = task.done()
            if not finished:
                # Waited for, so that turns and calls are given back before the next phase counts on them.
                task.cancel()
                await asyncio.wait({task})
        if finished:
            task.result()
        return finished
