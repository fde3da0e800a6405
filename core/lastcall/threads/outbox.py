"""What is handed to somebody who may block, and must hold up nobody: a disk, a terminal, a console."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

BATCH = 256  # things handed over at once: whoever waits for the last ones sees by it that something moves
MOMENT = 0.25  # seconds between two looks at whether it is worth to go on waiting


class Outbox(Generic[T]):
    """Things wait here for a thread that delivers them, so that `put` never waits. `error`: why it has given up.

    `deliver` gets a batch in its order, and how many were dropped before it: at most `room` wait, and where more come
    the oldest are dropped. What it raises ends the delivery. `pause`: seconds between two deliveries, as waking a
    thread for each of a thousand things would slow down whoever puts them. `batch`: how many at once. `idle`: where
    nothing comes for so many seconds after a delivery, nothing is delivered: `deliver` gets an empty batch.
    """

    def __init__(
        self,
        deliver: Callable[[list[T], int], None],
        name: str,
        *,
        room: float = math.inf,
        pause: float = 0.0,
        batch: int = BATCH,
        idle: float | None = None,
    ) -> None:
        self._deliver, self._name = deliver, name
        self._room, self._pause, self._batch, self._idle = room, pause, batch, idle
        self._things: deque[T] = deque()
        self._dropped = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._news, self._hurry, self._ended = threading.Event(), threading.Event(), threading.Event()
        self._over = self._delivering = False
        self._moved = 0.0
        self.error: Exception | None = None

    def put(self, *things: T) -> None:
        """Have them delivered, or dropped; after an error nothing is taken any more."""
        if self.error:
            return
        with self._lock:
            if not self._things and not self._delivering:
                self._moved = time.monotonic()
            self._things.extend(things)
            while len(self._things) > self._room:
                self._things.popleft()
                self._dropped += 1
        if not self._thread:
            self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
            self._thread.start()
        if not self._news.is_set():  # else the thread looks once more in any case, and to say so again takes a lock
            self._news.set()

    def close(self, seconds: float, *, still: float = math.inf, stop: Callable[[], bool] = bool) -> bool:
        """Wait for the last delivery, and return whether everything was delivered.

        At most `seconds`; after a moment no longer either when nothing has moved for `still` seconds, or when `stop`
        says so.
        """
        if not self._thread:
            return True
        self._over = True
        self._hurry.set()
        self._news.set()
        ends = time.monotonic() + seconds
        while not self._ended.wait(min(MOMENT, ends - time.monotonic())):
            now = time.monotonic()
            if now >= min(ends, self._moved + still) or stop():
                return False
        return self.error is None

    def _serve(self) -> None:
        over = False
        try:
            while not over:
                if not self._news.wait(self._left_idle()):
                    self._deliver_nothing()
                    continue
                self._news.clear()
                over = self._over  # what was put before is there by now
                while batch := self._next():
                    self._deliver(*batch)
                    self._moved = time.monotonic()
                    # An event and not a sleep: the last things do not sit out the pause.
                    self._hurry.wait(self._pause)
        except Exception as error:  # noqa: BLE001  whatever it is, it is for whoever puts things here
            self.error = error
        finally:
            self._ended.set()

    def _left_idle(self) -> float | None:
        return None if self._idle is None else max(0.0, self._moved + self._idle - time.monotonic())

    def _deliver_nothing(self) -> None:
        self._delivering = True  # else whoever hangs here would be taken to move by the next thing that is put
        self._deliver([], 0)
        self._delivering = False
        self._moved = time.monotonic()

    def _next(self) -> tuple[list[T], int] | None:
        with self._lock:
            count = min(self._batch, len(self._things))
            self._delivering = count > 0
            dropped, self._dropped = self._dropped, 0
            return ([self._things.popleft() for _ in range(count)], dropped) if count else None
