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


class Lane:
    """One connection, with the handles of all active guests, learnt in one request instead of one for each."""

    def __init__(self, connection: libvirt.virConnect) -> None:
        self.connection = connection
        self._domains: dict[str, libvirt.virDomain] | None = None

    def domain(self, uuid: str) -> libvirt.virDomain:
        """The handle of a guest; raises libvirtError when there is no such domain."""
        if self._domains is None:
            active = self.connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
            self._domains = {domain.UUIDString(): domain for domain in active}
        return self._domains.get(uuid) or self.connection.lookupByUUIDString(uuid)


class Budget:
    """The blocking calls that one daemon may be busy with, whatever the number of connections to it."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.free = CALLS_PER_LANE * BLOCKING_LANES


class Lanes:
    """Hands out lanes to worker threads. `open_one` makes a further connection to the same daemon."""

    def __init__(self, open_one: Callable[[], libvirt.virConnect], budget: Budget) -> None:
        self._open_one = open_one
        self._budget = budget
        self._changed = budget.changed
        self._free = [CALLS_PER_LANE] * (1 + BLOCKING_LANES)
        self._lanes: list[Lane | None] = [None] * (1 + BLOCKING_LANES)
        self._opening = [threading.Lock() for _ in self._free]

    @contextmanager
    def borrow(self, *, blocking: bool, timeout: float) -> Generator[Lane]:
        """Yield a lane for one call; raises CallExpired when none becomes free within `timeout` seconds."""
        index = self._take(blocking=blocking, timeout=timeout)
        try:
            yield self._lane(index)
        finally:
            with self._changed:
                self._free[index] += 1
                self._budget.free += index != _QUICK
                self._changed.notify_all()

    def _take(self, *, blocking: bool, timeout: float) -> int:
        with self._changed:
            self._changed.wait_for(
                lambda: self._best(blocking=blocking) is not None, min(timeout, threading.TIMEOUT_MAX)
            )
            index = self._best(blocking=blocking)
            if index is None:
                raise CallExpired("libvirt was too busy to take the request in time")
            self._free[index] -= 1
            self._budget.free -= index != _QUICK
            return index

    def _best(self, *, blocking: bool) -> int | None:
        if blocking and not self._budget.free:
            return None
        lanes = range(_QUICK + 1 if blocking else _QUICK, len(self._free) if self._budget.free else 1)
        return next((lane for lane in lanes if self._free[lane]), None)

    def _lane(self, index: int) -> Lane:
        with self._opening[index]:
            lane = self._lanes[index]
            if lane is None or not lane.connection.isAlive():
                lane = self._lanes[index] = Lane(self._open_one())
            return lane
