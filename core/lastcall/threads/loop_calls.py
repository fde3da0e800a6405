"""The one way from other threads to the loop thread."""

import asyncio
from collections import deque
from collections.abc import Callable


class LoopCalls:
    """Has things done on the loop thread, in the order of their posting; many posts cost one wake-up of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._actions: deque[Callable[[], None]] = deque()
        self._waking = False

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
        self._waking = False  # first: what is posted from now on wakes the loop again
        # Those that are there, and the next ones in the loop's next turn: else timers would wait for as long as others
        # post faster than we do what they want.
        for _ in range(len(self._actions)):
            action = self._actions.popleft()
            try:
                action()
            except Exception as error:  # noqa: BLE001  one action must not cost the others
                self._loop.call_exception_handler({"message": "an inbox action failed", "exception": error})
