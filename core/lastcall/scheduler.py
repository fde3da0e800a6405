"""Which guest may move now."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from lastcall.api.guests import Guest


class Scheduler:
    """Lets at most `parallel` guests move at once (0 = no limit), in the order of the plan."""

    def __init__(self, parallel: int) -> None:
        self._slots = asyncio.Semaphore(parallel) if parallel else None

    @property
    def unlimited(self) -> bool:
        """True when nobody has to wait for a turn."""
        return self._slots is None

    @asynccontextmanager
    async def turn(self, guest: Guest) -> AsyncGenerator[None]:
        """Wait for the guest's turn and hold it."""
        if self._slots is None:
            yield
            return
        async with self._slots:
            yield
