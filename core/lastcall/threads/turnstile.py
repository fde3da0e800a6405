"""Lets so many calls of a kind into the workers at a time; the others wait on the loop, in order."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from lastcall.threads.workers import Workers

SLOW = 0.05  # seconds after which a call is slow, and lets the next one in
T = TypeVar("T")


class Turnstile:
    """Workers for calls that wait for one another anyway, where each that waited would take a thread.

    A daemon that was busy took the requests of 5000 guests one after the other, and 4600 threads that waited for it
    kept each other from working: what takes half a minute took seven. `few` are let in at a time, and for each of them
    that is slow one more, `most` at the most.
    """

    def __init__(self, workers: Workers, most: int, few: int | None = None) -> None:
        self._workers = workers
        self._most, self._few = most, few or most
        self._inside: dict[object, float] = {}  # since when, by the loop's clock
        self._waiting: dict[object, asyncio.Future[bool]] = {}  # in order; False: its time is over
        self._watch: asyncio.TimerHandle | None = None
        self._short: tuple[int, Callable[[], None]] | None = None  # who is told when fewer wait

    def is_short(self, length: int, tell: Callable[[], None]) -> bool:
        """Whether fewer than so many wait; where not, have it told once when so few are left as others come in."""
        if len(self._waiting) < length:
            return True
        self._short = length, tell
        return False

    def let_in(self, until: float | None = None) -> "_Place":
        """Wait until there is room, which is taken meanwhile; raises TimeoutError at a time of the loop's clock."""
        return _Place(self, until)

    async def enter(self, caller: object, until: float | None) -> None:
        """Wait until there is room, and take it; see `let_in`."""
        loop = asyncio.get_running_loop()
        if self._waiting or not self._has_room(loop.time()):
            await self._wait(caller, loop, until)
        else:
            self._inside[caller] = loop.time()

    def leave(self, caller: object) -> None:
        """Give back what this caller has taken, if it has."""
        if self._inside.pop(caller, None) is not None:
            self._admit(asyncio.get_running_loop())

    async def _wait(self, caller: object, loop: asyncio.AbstractEventLoop, until: float | None) -> None:
        turn = self._waiting[caller] = loop.create_future()
        self._look_later(loop)
        # A timer of our own, as in `Workers.call`: thousands wait here.
        timer = None if until is None else loop.call_at(until, _give_up, turn)
        try:
            in_time = await turn
        except BaseException:
            self._waiting.pop(caller, None)
            self.leave(caller)
            raise
        finally:
            if timer:
                timer.cancel()
        if not in_time:
            self._waiting.pop(caller, None)
            raise TimeoutError

    def _admit(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        while self._waiting and self._has_room(now):
            caller = next(iter(self._waiting))
            turn = self._waiting.pop(caller)
            if not turn.done():  # else it has been given up
                self._inside[caller] = now
                turn.set_result(True)
        if self._short and len(self._waiting) < self._short[0]:
            (_, tell), self._short = self._short, None
            tell()

    def _has_room(self, now: float) -> bool:
        if len(self._inside) < self._few:
            return True
        slow = 0
        for since in self._inside.values():  # in the order of their coming
            if now - since < SLOW:
                break
            slow += 1
        return len(self._inside) < min(self._most, self._few + slow)

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        """That a call becomes slow comes to pass without a word."""
        if self._waiting and self._watch is None and self._few < self._most:
            self._watch = loop.call_later(SLOW, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watch = None
        self._admit(loop)
        self._look_later(loop)

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


def _give_up(turn: "asyncio.Future[bool]") -> None:
    if not turn.done():
        turn.set_result(False)


class _Place:
    """Room in a turnstile for as long as it is entered.

    No generator: the loop keeps a weak reference to each that is under way, and of 5000 guests two wait at a time, each
    with another kilobyte.
    """

    __slots__ = ("_turnstile", "_until")

    def __init__(self, turnstile: Turnstile, until: float | None) -> None:
        self._turnstile, self._until = turnstile, until

    async def __aenter__(self) -> None:
        await self._turnstile.enter(self, self._until)

    async def __aexit__(self, *_: object) -> None:
        self._turnstile.leave(self)
