"""Workers whose work may be answered late."""

import asyncio
import contextlib
import math
from collections.abc import Callable
from typing import Any, TypeVar

from lastcall.testing.memory import InlineWorkers

T = TypeVar("T")


class Late(BaseException):
    """Raised by work whose answer comes so many seconds later: that of `then`.

    As with a message that waits in a daemon's socket: whoever gives the answer up does not take the message back, of
    which `given_up` is told.
    """

    def __init__(self, seconds: float, then: Callable[[], Any], given_up: Callable[[], object]) -> None:
        super().__init__()
        self.seconds, self.then, self.given_up = seconds, then, given_up


class PatientWorkers(InlineWorkers):
    """Does work at once, and brings late answers when it is time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    async def call(self, work: Callable[[], T], *, timeout: float | None) -> T:
        """Run the work, and wait for its answer as long as the timeout allows."""
        until = math.inf if timeout is None else self._loop.time() + timeout
        while True:
            late: list[Late] = []
            result = await super().call(lambda work=work, late=late: _caught(work, late), timeout=timeout)
            if not late:
                return result
            work, timeout = await self._wait(late[0], until), math.inf

    async def _wait(self, late: Late, until: float) -> Callable[[], Any]:
        arrives = self._loop.time() + late.seconds
        try:
            await asyncio.sleep(max(0.0, min(arrives, until) - self._loop.time()))
        except asyncio.CancelledError:
            self._give_up(late, arrives)
            raise
        if arrives > until:
            self._give_up(late, arrives)
            raise TimeoutError
        return late.then

    def _give_up(self, late: Late, arrives: float) -> None:
        late.given_up()
        if arrives != math.inf:
            self._loop.call_at(arrives, self._unheard, late.then)

    def _unheard(self, then: Callable[[], object]) -> None:
        """Nobody waits for it, and it goes its way all the same."""
        try:
            with contextlib.suppress(Exception):
                then()
        except Late as later:
            if later.seconds != math.inf:
                self._loop.call_later(later.seconds, self._unheard, later.then)


def _caught(work: Callable[[], T], late: list[Late]) -> T:
    try:
        return work()
    except Late as error:
        late.append(error)
    return None  # pyright: ignore[reportReturnType]  nobody looks at it where there is a late answer
