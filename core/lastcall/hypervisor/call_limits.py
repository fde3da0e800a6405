"""Lanes to one libvirt daemon: blocking calls never crowd out the others, and never take all of the daemon's workers.

libvirtd serves five requests per connection and twenty per daemon at a time; an agent request or a managed save holds
one for as long as it lasts. So there is one connection for quick requests and three for blocking ones, four calls on
each: at most twelve blocking calls per daemon. A quick request may use a blocking lane when quick ones hang.

A call that does not return within its patience hangs, as every call to a QEMU that hangs does until that QEMU is ended.
Guests of which a call hangs cannot take the last two places; for all others there are up to two more, on a lane of
their own, as many as are held by calls that hang. Where even these are taken, it is told who is waited for: whoever
hangs gets no more than its own time then.

libvirtd has five workers at first and starts another where none is free as a request comes, but only as long as none
waits: of a crowd of requests at once some are left without, and when all workers hang there is never another. So with
more than a few under way, the next waits until one has returned, or a moment.

To pull a plug must be possible when every blocking call hangs, as all saves do where the storage hangs; libvirtd itself
keeps five workers for that. So there are two more lanes, opened when they are needed: one for guests of which a call
hangs already, whose plug takes longest, and one for all others, who do not wait for those.
"""

import threading
import time
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import libvirt

from lastcall.errors import CallExpired

# libvirtd serves five requests per connection, and one of them stays free. Ten agent shutdowns on one
# connection took 12.6 s, each on its own 7.3 s.
CALLS_PER_LANE = 4
# Twelve of the twenty workers of a daemon. With all twenty blocked, an ACPI request to a healthy guest waited 59 s.
BLOCKING_LANES = 3
READY = 4  # calls for which libvirtd has a worker from its start, and one more for others
PACE = 0.02  # seconds in which libvirtd starts a worker
LOOK_UPS = 16  # guests that a lane looks up one by one before it lists all
SPARE = 2  # places for guests of which no call hangs
ALIVE_FOR = 0.1  # seconds for which a connection that lived counts as alive
OPENING = 2.0  # seconds after which one opens a lane itself instead of waiting for somebody who opens it
STEP = 0.5  # seconds between two looks of one who waits: that a call hangs comes to pass without a word
_QUICK, _PLUG, _PLUG_OF_HUNG, _SPARE = 0, BLOCKING_LANES + 1, BLOCKING_LANES + 2, BLOCKING_LANES + 3
Need = Literal["quick", "blocking", "plug"]
# Seconds after which a call hangs. A quick one takes milliseconds; an agent that is asked to shut down answers when its
# guest is off, and a save may be one of twelve that share a disk.
PATIENCE: dict[Need, float] = {"quick": 2.0, "blocking": 60.0, "plug": 15.0}


class Lane:
    """One connection, with the handles of all active guests, learnt in one request once more than a few are needed."""

    def __init__(self, connection: libvirt.virConnect) -> None:
        self.connection = connection
        self._seen_alive = time.monotonic()
        self._domains: dict[str, libvirt.virDomain] | None = None
        self._looked_up = 0

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
        if self._looked_up < LOOK_UPS:  # most lanes serve a handful of calls, and a list of a thousand takes its time
            self._looked_up += 1
            return self.connection.lookupByUUIDString(uuid)
        if self._domains is None:
            active = self.connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
            self._domains = {domain.UUIDString(): domain for domain in active}
        return self._domains.get(uuid) or self.connection.lookupByUUIDString(uuid)


@dataclass(slots=True, eq=False)
class _Call:
    """A call under way: whom it is about, where, and the moment from which it hangs (monotonic clock)."""

    uuid: str
    lane: int
    hangs_from: float

    @property
    def counts(self) -> bool:
        """Whether it takes one of the daemon's places: quick requests and plugs have some that no other call takes."""
        return self.lane == _SPARE or _QUICK < self.lane < _PLUG


@dataclass(slots=True, eq=False)
class _Waiter:
    """A thread that waits for a lane. It is given the call by the thread that makes room for it.

    Each woken for every call that returned, a crowd of threads took turns at finding nothing: the time of 5000 requests
    to a daemon that was busy grew from seconds to minutes.
    """

    lanes: "Lanes"
    need: Need
    uuid: str
    turn: threading.Condition
    call: _Call | None = None

    def try_again(self) -> _Call | None:
        """Take a lane if there is one now. Called with the lock."""
        self.call = self.call or self.lanes.try_to_take(self.need, self.uuid)
        return self.call


class CallBudget:
    """The calls that one daemon is busy with, whatever the number of connections to it. Its lock is `changed`."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.changed = threading.Condition(self._lock)
        # Who waits for its turn has a condition of its own: to wake all for each call costs more than the call.
        self._paced = threading.Condition(self._lock)
        self.waiters: dict[_Waiter, None] = {}  # in order
        self.pacing = 0  # calls that wait for their turn
        self.free = CALLS_PER_LANE * BLOCKING_LANES
        self.returned: int = 0  # calls that are over
        self._sent_at = -PACE  # the latest call
        self._returned_then: int = 0  # how many were over then
        self._calls: set[_Call] = set()

    def begin(self, call: _Call) -> None:
        """Count a call."""
        self._calls.add(call)
        self.free -= call.counts

    def end(self, call: _Call) -> None:
        """Count it no more."""
        self._calls.discard(call)
        self.free += call.counts
        self.returned += 1
        self._paced.notify()

    def waiter(self, lanes: "Lanes", need: Need, uuid: str) -> _Waiter:
        """Somebody who waits for a lane, behind those who do already."""
        waiter = _Waiter(lanes, need, uuid, threading.Condition(self._lock))
        self.waiters[waiter] = None
        return waiter

    def admit(self) -> None:
        """Let go on who has a lane now, in order. Called with the lock."""
        for waiter in list(self.waiters):
            if waiter.try_again():
                del self.waiters[waiter]
                waiter.turn.notify()

    def keep_pace(self) -> None:
        """Wait until the next call may be sent: libvirtd must find a worker for each. Called with the lock."""
        while len(self._calls) > READY and self.returned == self._returned_then:
            left = self._sent_at + PACE - time.monotonic()
            if left <= 0:
                break
            self.pacing += 1
            self._paced.wait(left)
            self.pacing -= 1
        self._sent_at, self._returned_then = time.monotonic(), self.returned

    def hanging(self) -> dict[str, int]:
        """The guests of which a call hangs (UUIDs), and how many of the daemon's places their calls hold."""
        now, found = time.monotonic(), dict[str, int]()
        for call in self._calls:
            if call.hangs_from <= now:
                found[call.uuid] = found.get(call.uuid, 0) + call.counts
        return found

    def holds_place(self, uuid: str) -> bool:
        """Whether a call about this guest has taken one of the daemon's places."""
        return any(call.uuid == uuid and call.counts for call in self._calls)

    def room_for(self, uuid: str) -> Literal["ordinary", "spare", "none"]:
        """Which place there is for a call about this guest."""
        if self.free > SPARE:
            return "ordinary"
        hanging = self.hanging()
        if uuid in hanging:
            return "none"
        if self.free > 0:
            return "ordinary"
        # As many more as are held by calls that hang: somebody who is well must not wait for them.
        return "spare" if self.free + min(SPARE, sum(hanging.values())) > 0 else "none"


class Lanes:
    """Hands out lanes to worker threads.

    `open_one` makes a further connection to the same daemon. `crowded` is told, by a thread that waits for a lane, the
    guests (UUIDs) whose calls hang meanwhile.
    """

    def __init__(
        self,
        open_one: Callable[[], libvirt.virConnect],
        budget: CallBudget,
        crowded: Callable[[Collection[str]], None] = lambda _: None,
    ) -> None:
        self._open_one = open_one
        self._budget = budget
        self._crowded = crowded
        self._changed = budget.changed
        self._free = [CALLS_PER_LANE] * (_SPARE + 1)
        self._lanes: list[Lane | None] = [None] * len(self._free)
        self._opening: dict[int, float] = {}  # lanes that somebody opens, and since when (monotonic clock)
        self._told = -STEP  # when it was told last who is in the way (monotonic clock)
        self._dead: list[Lane] = []  # kept, as closing them may block

    @contextmanager
    def borrow(self, need: Need, uuid: str, *, timeout: float) -> Generator[Lane]:
        """Yield a lane for a call about a guest; raises CallExpired when none is free within `timeout` seconds."""
        # A run by hand may have no limit, and a wait beyond TIMEOUT_MAX raises OverflowError.
        until = time.monotonic() + min(timeout, threading.TIMEOUT_MAX / 2)
        call = self._take(need, uuid, until)
        try:
            lane = self._lane(call.lane, until)
            with self._changed:
                self._budget.keep_pace()
            yield lane
        finally:
            self._give_back(call)

    def _take(self, need: Need, uuid: str, until: float) -> _Call:
        with self._changed:
            return self.try_to_take(need, uuid) or self._wait(self._budget.waiter(self, need, uuid), until)

    def try_to_take(self, need: Need, uuid: str) -> _Call | None:
        """Take a lane if there is one. Called with the lock."""
        index = self._best(need, uuid)
        if index is None:
            return None
        call = _Call(uuid, index, time.monotonic() + PATIENCE[need])
        self._free[index] -= 1
        self._budget.begin(call)
        return call

    def _wait(self, waiter: _Waiter, until: float) -> _Call:
        """Wait for a place, and tell who is in the way."""
        try:
            # That a call hangs comes to pass without a word, so that it is looked again by itself as well.
            while (call := waiter.try_again()) is None:
                left = until - time.monotonic()
                if left <= 0:
                    raise CallExpired("libvirt was too busy to take the request in time")
                # Nobody waits because of its own call: that one's time is its own affair.
                self._tell(self._budget.hanging().keys() - {waiter.uuid})
                waiter.turn.wait(min(left, STEP))
            return call
        finally:
            self._budget.waiters.pop(waiter, None)

    def _tell(self, in_the_way: Collection[str]) -> None:
        """Tell who is in the way, once for all that wait."""
        now = time.monotonic()
        if in_the_way and now - self._told >= STEP:
            self._told = now
            self._crowded(frozenset(in_the_way))

    def _give_back(self, call: _Call) -> None:
        with self._changed:
            self._free[call.lane] += 1
            self._budget.end(call)
            self._budget.admit()

    def _best(self, need: Need, uuid: str) -> int | None:
        """The lane to take, None while there is none. Called with the lock."""
        if need == "quick" and self._free[_QUICK]:
            return _QUICK
        room = self._budget.room_for(uuid)
        lanes = list[int]()
        if room == "ordinary":
            lanes += range(_QUICK + 1, _PLUG)
        if room != "none" and need != "plug":
            lanes.append(_SPARE)
        if need == "plug":
            lanes += self._plugs(uuid)
        return next((lane for lane in lanes if self._free[lane]), None)

    def _plugs(self, uuid: str) -> list[int]:
        # Twelve saves that hung kept every lane, and the last resort of all other guests was never sent. To end a QEMU
        # that hangs takes libvirt some 12 s: its plug does not share a lane with those that take no time.
        if self._budget.holds_place(uuid):
            return [_PLUG_OF_HUNG]
        if uuid not in self._budget.hanging():
            return [_PLUG]
        return [_PLUG_OF_HUNG, *([_PLUG] if self._free[_PLUG] > SPARE else [])]

    def _lane(self, index: int, until: float) -> Lane:
        """An open lane. libvirt does not revive a connection: after a restart of the daemon the old one fails for ever.

        Opened without the lock, as that may block for as long as the daemon hangs; who comes meanwhile waits a moment
        for it, and then opens one for itself.
        """
        with self._changed:
            while True:
                lane = self._lanes[index]
                if lane is not None and lane.alive:
                    return lane
                since, now = self._opening.get(index), time.monotonic()
                if since is None or now - since >= OPENING:
                    break
                if now >= until:
                    raise CallExpired("no connection to libvirt was open in time")
                self._changed.wait(min(since + OPENING, until) - now)
            self._opening[index] = now
        return self._open(index)

    def _open(self, index: int) -> Lane:
        try:
            opened = Lane(self._open_one())
        except BaseException:
            self._opened(index)
            raise
        with self._changed:
            before = self._lanes[index]
            lane = before if before and before.alive else opened  # somebody else may have been quicker
            self._dead += [other for other in (before, opened) if other and other is not lane]
            self._lanes[index] = lane
            self._opened(index)
            return lane

    def _opened(self, index: int) -> None:
        """Nobody opens this lane any more; the lock can be taken twice by one thread."""
        with self._changed:
            self._opening.pop(index, None)
            self._changed.notify_all()
