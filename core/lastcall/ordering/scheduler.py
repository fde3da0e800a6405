"""Lets each guest of a run move when its turn has come."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager

from lastcall.api.guests import Key
from lastcall.ordering.nodes import Edges
from lastcall.ordering.queue import TurnQueue


class Scheduler:
    """Turns for tasks: one waits for its turn, and says when it is done with it. Loop thread only."""

    def __init__(self, turns: TurnQueue, loop: asyncio.AbstractEventLoop) -> None:
        self._turns = turns
        self._loop = loop
        self._granted: set[Key] = set()
        self._waiting: dict[Key, asyncio.Future[None]] = {}
        self._advance()

    def add(self, waits: Edges, outside: Iterable[Key] = ()) -> None:
        """Let further guests take part; see `TurnQueue.add`."""
        self._granted -= waits.keys()
        self._turns.add(waits, outside)
        self._advance()

    def may_move(self, key: Key) -> bool:
        """Say whether a guest has its turn."""
        return key in self._granted

    async def turn(self, key: Key) -> None:
        """Wait for a guest's turn."""
        if key not in self._granted:
            self._waiting[key] = self._loop.create_future()
            try:
                await self._waiting[key]
            finally:
                del self._waiting[key]

    @asynccontextmanager
    async def aside(self, key: Key) -> AsyncGenerator[None]:
        """Let others move while a guest that has its turn waits for something else; afterwards wait for it anew."""
        self._granted.discard(key)
        self._turns.step_aside(key)
        self._advance()
        yield
        self._turns.line_up(key)
        self._advance()
        await self.turn(key)

    def done(self, key: Key) -> None:
        """A guest is through, or does not count for the order any more; those that waited for it may move."""
        self._turns.done(key)
        self._advance()

    def _advance(self) -> None:
        for key in self._turns.grant():
            self._granted.add(key)
            waiting = self._waiting.get(key)
            # Its waiter may have left: when the time runs short everybody is asked, in turn or not.
            if waiting and not waiting.done():
                waiting.set_result(None)
