"""Lanes to one libvirt daemon: blocking calls never crowd out the others, and never take all of the daemon's workers.

libvirtd serves five requests per connection and twenty per daemon at a time; an agent request or a managed save holds
one for as long as it lasts. So there is one connection for quick requests and three for blocking ones, four calls on
each: at most twelve blocking calls per daemon. A quick request may use a blocking lane when quick ones hang.
"""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

import libvirt

from lastcall.errors import CallExpired

CALLS_PER_LANE = 4
BLOCKING_LANES = 3
_QUICK = 0


class Lanes:
    """Hands out connections to worker threads. `open_one` makes a further connection to the same daemon."""

    def __init__(self, open_one: Callable[[], libvirt.virConnect]) -> None:
        self._open_one = open_one
        self._changed = threading.Condition()
        self._free = [CALLS_PER_LANE] * (1 + BLOCKING_LANES)
        self._connections: list[libvirt.virConnect | None] = [None] * (1 + BLOCKING_LANES)
        self._opening = [threading.Lock() for _ in self._free]

    @contextmanager
    def borrow(self, *, blocking: bool, timeout: float) -> Generator[libvirt.virConnect]:
        """Yield a connection for one call; raises CallExpired when no lane becomes free within `timeout` seconds."""
        lane = self._take(blocking=blocking, timeout=timeout)
        try:
            yield self._connection(lane)
        finally:
            with self._changed:
                self._free[lane] += 1
                self._changed.notify_all()

    def close(self) -> None:
        """Forget the connections that nobody uses."""
        with self._changed:
            for lane, free in enumerate(self._free):
                if free == CALLS_PER_LANE:
                    self._connections[lane] = None

    def _take(self, *, blocking: bool, timeout: float) -> int:
        with self._changed:
            if not self._changed.wait_for(lambda: self._best(blocking=blocking) is not None, timeout):
                raise CallExpired("libvirt was too busy to take the request in time")
            lane = self._best(blocking=blocking)
            assert lane is not None  # noqa: S101  waited for, and nobody else moves while the lock is held
            self._free[lane] -= 1
            return lane

    def _best(self, *, blocking: bool) -> int | None:
        lanes = range(_QUICK + 1 if blocking else _QUICK, len(self._free))
        return next((lane for lane in lanes if self._free[lane]), None)

    def _connection(self, lane: int) -> libvirt.virConnect:
        with self._opening[lane]:
            connection = self._connections[lane]
            if connection is None or not connection.isAlive():
                connection = self._connections[lane] = self._open_one()
            return connection
