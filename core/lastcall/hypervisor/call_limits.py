"""Lanes to one libvirt daemon: blocking calls never crowd out the others, and never take all of the daemon's workers.

libvirtd serves five requests per connection and twenty per daemon at a time; an agent request or a managed save holds
one for as long as it lasts. So there is one connection for quick requests and three for blocking ones, four calls on
each: at most twelve blocking calls per daemon. A quick request may use a blocking lane when quick ones hang.

To pull a plug must be possible when every blocking call hangs, as all saves do where the storage hangs; libvirtd itself
keeps five workers for that. So there are two more lanes, opened when they are needed: one for guests of which a call
hangs already, whose plug takes longest, and one for all others, who do not wait for those.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Literal

import libvirt

from lastcall.errors import CallExpired

# libvirtd serves five requests per connection, and one of them stays free. Ten agent shutdowns on one
# connection took 12.6 s, each on its own 7.3 s.
CALLS_PER_LANE = 4
# Twelve of the twenty workers of a daemon. With all twenty blocked, an ACPI request to a healthy guest waited 59 s.
BLOCKING_LANES = 3
ALIVE_FOR = 0.1  # seconds for which a connection that lived counts as alive
_QUICK, _PLUG, _PLUG_OF_HUNG = 0, BLOCKING_LANES + 1, BLOCKING_LANES + 2
Need = Literal["quick", "blocking", "plug"]


class Lane:
    """One connection, with the handles of all active guests, learnt in one request instead of one for each."""

    def __init__(self, connection: libvirt.virConnect) -> None:
        self.connection = connection
        self._seen_alive = time.monotonic()
        self._domains: dict[str, libvirt.virDomain] | None = None

    @property
    def alive(self) -> bool:
        """Whether the connection lives, or did a moment ago: to ask before each request doubles its cost."""
        now = time.monotonic()
        if now - self._seen_alive > ALIVE_FOR:
            if not self.connection.isAlive():
                return False
            self._seen_alive = now
        return True

    def domain(self, uuid: str) -> libvirt.virDomain:
        """The handle of a guest; raises libvirtError when there is no such domain."""
        if self._domains is None:
            active = self.connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
            self._domains = {domain.UUIDString(): domain for domain in active}
        return self._domains.get(uuid) or self.connection.lookupByUUIDString(uuid)


class CallBudget:
    """The blocking calls that one daemon may be busy with, whatever the number of connections to it."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.free = CALLS_PER_LANE * BLOCKING_LANES
        self.waiting = 0  # calls that wait for a lane


class Lanes:
    """Hands out lanes to worker threads. `open_one` makes a further connection to the same daemon."""

    def __init__(self, open_one: Callable[[], libvirt.virConnect], budget: CallBudget) -> None:
        self._open_one = open_one
        self._budget = budget
        self._changed = budget.changed
        self._free = [CALLS_PER_LANE] * (_PLUG_OF_HUNG + 1)
        self._lanes: list[Lane | None] = [None] * len(self._free)
        self._opening = [threading.Lock() for _ in self._free]
        self._under_way: Counter[str] = Counter()  # blocking calls, by guest

    @contextmanager
    def borrow(self, need: Need, uuid: str, *, timeout: float) -> Generator[Lane]:
        """Yield a lane for a call about a guest; raises CallExpired when none is free within `timeout` seconds."""
        index = self._take(need, uuid, timeout)
        try:
            yield self._lane(index)
        finally:
            self._give_back(index, uuid)

    def _take(self, need: Need, uuid: str, timeout: float) -> int:
        with self._changed:
            index = self._best(need, uuid)
            if index is None:
                self._budget.waiting += 1
                # A run by hand may have no limit, and a wait beyond TIMEOUT_MAX raises OverflowError.
                self._changed.wait_for(lambda: self._best(need, uuid) is not None, min(timeout, threading.TIMEOUT_MAX))
                self._budget.waiting -= 1
                index = self._best(need, uuid)
            if index is None:
                raise CallExpired("libvirt was too busy to take the request in time")
            self._count(index, uuid, -1)
            return index

    def _give_back(self, index: int, uuid: str) -> None:
        with self._changed:
            self._count(index, uuid, 1)
            # Hardly anybody ever waits, and to wake nobody takes as long as the request itself.
            if self._budget.waiting:
                self._changed.notify_all()

    def _count(self, index: int, uuid: str, change: int) -> None:
        self._free[index] += change
        # Quick requests and plugs have places that no blocking call takes, so they do not count.
        if _QUICK < index < _PLUG:
            self._budget.free += change
            self._under_way[uuid] -= change

    def _best(self, need: Need, uuid: str) -> int | None:
        blocking = range(_QUICK + 1, _PLUG if self._budget.free else _QUICK + 1)
        # Twelve saves that hung kept every lane, and the last resort of all other guests was never sent. To end a QEMU
        # that hangs takes libvirt some 12 s: its plug does not share a lane with those that take no time.
        plug = _PLUG_OF_HUNG if self._under_way[uuid] else _PLUG
        lanes = {"quick": (_QUICK, *blocking), "blocking": blocking, "plug": (*blocking, plug)}[need]
        return next((lane for lane in lanes if self._free[lane]), None)

    def _lane(self, index: int) -> Lane:
        with self._opening[index]:
            lane = self._lanes[index]
            # libvirt does not revive a connection: after a restart of the daemon the old one fails for ever.
            if lane is None or not lane.alive:
                lane = self._lanes[index] = Lane(self._open_one())
            return lane
