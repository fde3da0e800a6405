"""Lanes to one libvirt daemon: connections, each lent to one call at a time.

libvirt lets many threads share a connection, and its client loses the request of one that comes as another has just had
its answer (seen with libvirt 9.0): it lay unsent until the next request or keepalive, and a healthy guest that was
asked beside one whose agent hung heard of it five seconds later.
"""

import math
import threading
import time
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager

import libvirt

from lastcall.errors import CallExpired
from lastcall.hypervisor.call_limits.call_budget import CallBudget
from lastcall.hypervisor.call_limits.call_places import STEP, CallPlaces
from lastcall.hypervisor.call_limits.open_call import Need, OpenCall

ALIVE_FOR = 0.1  # seconds for which a connection that lived counts as alive
OPENINGS = 4  # connections that are opened at a time
OPENING = 2.0  # seconds after which one that hangs as it is opened does not count


class Lane:
    """One connection, which has one call at a time."""

    def __init__(self, connection: libvirt.virConnect) -> None:
        self.connection = connection
        self._seen_alive = time.monotonic()

    @property
    def alive(self) -> bool:
        """Whether the connection lives, or did a moment ago: to ask before each request doubles its cost."""
        now = time.monotonic()
        if now - self._seen_alive > ALIVE_FOR:
            if not self.connection.isAlive():
                return False
            self._seen_alive = now
        return True


class Lanes:
    """Hands out lanes to worker threads.

    `connection` is open already, and `open_one` makes a further one to the same daemon. `crowded` is told, by a thread
    that waits for a lane, the guests (UUIDs) whose calls hang meanwhile.
    """

    def __init__(
        self,
        connection: libvirt.virConnect,
        open_one: Callable[[], libvirt.virConnect],
        budget: CallBudget,
        crowded: Callable[[Collection[str]], None] = lambda _: None,
    ) -> None:
        self._open_one = open_one
        self._budget = budget
        self._crowded = crowded
        self._changed = budget.changed
        self._places = CallPlaces(budget)
        self._idle = [Lane(connection)]
        self._opening: list[float] = []  # since when connections are being opened (monotonic clock), in order
        self._told = -STEP  # when it was told last who is in the way (monotonic clock)
        self._dead: list[Lane] = []  # kept, as closing them may block

    @contextmanager
    def borrow(self, need: Need, uuid: str = "", *, timeout: float) -> Generator[Lane]:
        """Yield a lane for a call, about a guest; raises CallExpired when none is free within `timeout` seconds."""
        # A run by hand may have no limit, and a wait beyond TIMEOUT_MAX raises OverflowError.
        until = time.monotonic() + min(timeout, threading.TIMEOUT_MAX / 2)
        call, lane = self._places.take(need, uuid, until, self._tell), None
        try:
            lane = self._lane(until)
            with self._changed:
                self._budget.keep_pace()
            yield lane
        finally:
            self._give_back(call, lane)

    def _tell(self, in_the_way: Collection[str]) -> None:
        """Tell who is in the way, once for all that wait."""
        now = time.monotonic()
        if in_the_way and now - self._told >= STEP:
            self._told = now
            self._crowded(frozenset(in_the_way))

    def _give_back(self, call: OpenCall, lane: Lane | None) -> None:
        with self._changed:
            if lane is not None:
                self._idle.append(lane)
                self._changed.notify_all()
            self._places.give_back(call)

    def _lane(self, until: float) -> Lane:
        """A lane that nobody uses, the one used last if there are any; else another.

        libvirt does not revive a connection: after a restart of the daemon the old one fails for ever.
        """
        with self._changed:
            while (lane := self._unused()) is None:
                left = self._opens_at() - time.monotonic()
                if left <= 0:
                    break
                if time.monotonic() >= until:
                    raise CallExpired("no connection to libvirt was open in time")
                self._changed.wait(min(left, until - time.monotonic()))
            if lane is not None:
                return lane
            began = time.monotonic()
            self._opening.append(began)
        # Without the lock, as it may block for as long as the daemon hangs.
        try:
            return Lane(self._open_one())
        finally:
            with self._changed:
                self._opening.remove(began)
                self._changed.notify_all()

    def _unused(self) -> Lane | None:
        while self._idle:
            lane = self._idle.pop()
            if lane.alive:
                return lane
            self._dead.append(lane)
        return None

    def _opens_at(self) -> float:
        """When one more may be opened: not too many at once, but for those that hang."""
        # The sshd of a daemon behind SSH turns away who comes while ten others log in.
        return self._opening[-OPENINGS] + OPENING if len(self._opening) >= OPENINGS else -math.inf
