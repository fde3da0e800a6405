"""Lets guests that all may move at once begin in groups, as their requests stand in line for the daemon anyway."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import field
from functools import partial
from typing import Protocol

from lastcall.formats.values import changing
from lastcall.timing.moment import Moment

GROUP = 128  # guests that begin at a time, and requests in line up to which the next ones do
TURNS = 10  # of the loop, in which those that have begun come as far as to stand in line
PATIENCE = 0.25  # seconds after which those behind a line that does not get short begin all the same


class Lines(Protocol):
    """Knows how many requests to each connection wait for a worker."""

    def is_short(self, uri: str, length: int, tell: Callable[[], None]) -> bool:
        """Whether they are fewer; where they are not, have it told once, to who asked last, when others are served.

        Not where they give up: who waits looks again by itself.
        """
        ...


@changing
class _Door:
    """Of one connection: who waits before it, how many may come in now, and how many did at a time."""

    waiting: deque[asyncio.Future[None]] = field(default_factory=deque[asyncio.Future[None]])
    room: int = GROUP
    group: int = GROUP
    patience: asyncio.TimerHandle | None = None


class Entrance:
    """Guests of each connection come in, in order, as long as few requests to it stand in line.

    Each that has begun keeps the state of all that it goes through: of 5000 at once that was a quarter of a run's
    memory. A daemon that hangs keeps nobody out for long, as hooks may have work to do that needs no daemon. Loop
    thread only.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, lines: Lines, last_ask: Moment) -> None:
        self._loop, self._lines, self._last_ask = loop, lines, last_ask
        self._doors: dict[str, _Door] = {}

    async def come_in(self, uri: str) -> None:
        """Wait for the turn of a guest of this connection."""
        door = self._doors.get(uri) or self._doors.setdefault(uri, _Door())
        if door.room > 0 and not door.waiting:
            self._enter(uri, door)
        elif not self._last_ask.passed:
            turn = self._loop.create_future()
            door.waiting.append(turn)
            await turn

    def heed_last_ask(self) -> None:
        """Let everybody in where it is time to ask everybody; called as that moment passes, or moves."""
        if self._last_ask.passed:
            for uri in self._doors:
                self._open(uri, GROUP)

    def _enter(self, uri: str, door: _Door) -> None:
        door.room -= 1
        if door.room == 0:
            self._loop.call_soon(self._look, uri, TURNS)

    def _look(self, uri: str, turns: int) -> None:
        if turns > 0:
            self._loop.call_soon(self._look, uri, turns - 1)
        elif self._lines.is_short(uri, GROUP, partial(self._open, uri, GROUP)):
            self._open(uri, GROUP)
        else:
            # Twice as many each time: of thousands the last ones come in after two seconds.
            door = self._doors[uri]
            door.patience = self._loop.call_later(PATIENCE, self._open, uri, 2 * door.group)

    def _open(self, uri: str, group: int) -> None:
        door = self._doors[uri]
        if door.patience:
            door.patience.cancel()
        door.room = door.group = len(door.waiting) + GROUP if self._last_ask.passed else group
        while door.waiting and door.room > 0:
            turn = door.waiting.popleft()
            if not turn.done():  # else it has been given up
                turn.set_result(None)
                self._enter(uri, door)
