"""Lets so many calls of a kind into the workers at a time; the others wait on the loop, in order."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from lastcall.threads.workers import Workers

T = TypeVar("T")


class Turnstile:
    """Workers for calls that wait for one another anyway, where each that waited would take a thread.

    A daemon that was busy took the requests of 5000 guests one after the other, and 4600 threads that waited for it
    kept each other from working: what takes half a minute took seven.
    """

    def __init__(self, workers: Workers, most: int) -> None:
        self._workers = workers
        self._room = asyncio.Semaphore(most)

    @asynccontextmanager
    async def let_in(self, until: float | None = None) -> AsyncGenerator[None]:
        """Wait until there is room, which is taken meanwhile; raises TimeoutError at a time of the loop's clock."""
        if self._room.locked():
            async with asyncio.timeout_at(until):
                await self._room.acquire()
        else:
            await self._room.acquire()  # at once
        try:
            yield
        finally:
            self._room.release()

    async def call(self, work: Callable[[], T], *, timeout: float | None) -> T:
        """Run the work in a worker, see `Workers.call`; the wait until it is let in counts as well.

        A call whose time was up makes room, whether its worker has returned or not.
        """
        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        async with self.let_in(end):
            return await self._workers.call(work, timeout=None if end is None else end - loop.time())

    def post(self, action: Callable[[], None]) -> None:
        """Have something done on the loop thread; see `Workers.post`."""
        self._workers.post(action)
