"""Which guests are being moved where, and how many at once to one host."""

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable

from lastcall.api.guests import Key
from lastcall.errors import HypervisorError

STEP = 0.5  # seconds between two looks of one who waits: its own time may be over
SILENCE = 30.0  # seconds for which a host that did not answer is not tried again: each guest would wait for it anew


class Moves:
    """For any thread. `at_once`: guests that move to one host at a time, 0 = no limit."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._changed = threading.Condition()
        self._under_way: dict[str, dict[Key, int]] = defaultdict(dict)
        self._targets: dict[Key, str] = {}
        self._silent: dict[str, tuple[float, HypervisorError]] = {}

    def take(self, uri: str, key: Key, memory: int, remaining: Callable[[], float]) -> None:
        """Wait for a place among those that move to a host; `remaining` raises where the time for that is over.

        Also until an earlier move of the guest is over that was called back: before the host over there has cleared up
        after that it takes the guest for one that is there.
        """
        with self._changed:
            while self._is_under_way(key) or (self._at_once and len(self._under_way[uri]) >= self._at_once):
                self._changed.wait(min(STEP, max(0.01, remaining())))
            self._under_way[uri][key] = memory

    def give_back(self, uri: str, key: Key) -> None:
        """It moves no more."""
        with self._changed:
            self._under_way[uri].pop(key, None)
            self._changed.notify_all()

    def _is_under_way(self, key: Key) -> bool:
        return any(key in guests for guests in self._under_way.values())

    def promised(self, uri: str, key: Key) -> int:
        """Bytes of a host's memory that others have been promised who are under way to it."""
        with self._changed:
            return sum(memory for other, memory in self._under_way[uri].items() if other != key)

    def note_silence(self, uri: str, error: HypervisorError) -> None:
        """A host did not answer."""
        with self._changed:
            self._silent[uri] = time.monotonic() + SILENCE, error

    def silence(self, uri: str) -> HypervisorError | None:
        """What became of the last attempt to reach a host, where that failed a moment ago."""
        with self._changed:
            until, error = self._silent.get(uri, (-math.inf, HypervisorError("")))
            return error if time.monotonic() < until else None

    def begin(self, key: Key, uri: str) -> None:
        """A guest sets out for a host."""
        with self._changed:
            self._targets[key] = uri

    def fail(self, key: Key) -> None:
        """It stays here."""
        with self._changed:
            self._targets.pop(key, None)

    def target(self, key: Key) -> str:
        """The host (URI) that a guest has set out for last, where it is if it has gone; empty where there is none."""
        with self._changed:
            return self._targets.get(key, "")
