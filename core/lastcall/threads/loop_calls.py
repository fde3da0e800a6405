"""The one way from other threads to the loop thread."""

import asyncio
from collections import deque
from collections.abc import Callable

MOMENT = 0.001  # seconds between two looks while actions come in crowds; finer than the loop's timers is nothing


class LoopCalls:
    """Has things done on the loop thread, in the order of their posting.

    One that comes alone wakes the loop. As long as they come in crowds the loop looks for them once in a moment, by
    itself: woken for each of the answers about 1000 guests, it and the threads that answer took turns at the
    interpreter thirty times for each guest, which was a quarter of what a guest costs.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._actions: deque[Callable[[], None]] = deque()
        self._waking = False  # or the loop looks by itself; two that post at once may wake it twice
        self._crowded = False

    def post(self, action: Callable[[], None]) -> None:
        """Post an action; from any thread. After the end of the run nobody looks any more, and that is fine."""
        self._actions.append(action)
        if not self._waking:
            self._waking = True
            try:
                self._loop.call_soon_threadsafe(self._drain)
            except RuntimeError:
                return  # the loop is closed

    def _drain(self) -> None:
        there = len(self._actions)
        self._crowded = there > 1 or (self._crowded and there > 0)
        if self._crowded:
            self._loop.call_later(MOMENT, self._drain)
        else:
            self._waking = False  # before it is done: what is posted from now on wakes the loop again
            there = len(self._actions)  # what came before that has woken nobody
        # Those that are there, and the next ones in the loop's next turn: else timers would wait for as long as others
        # post faster than we do what they want.
        for _ in range(there):
            action = self._actions.popleft()
            try:
                action()
            except Exception as error:  # noqa: BLE001  one action must not cost the others
                self._loop.call_exception_handler({"message": "an inbox action failed", "exception": error})
