"""Lanes to one libvirt daemon: blocking calls never crowd out the others, and never take all of the daemon's workers.

A lane is a connection with one call on it at a time. libvirt lets many threads share a connection, and its client loses
the request of one that comes as another has just had its answer (seen with libvirt 9.0): it lay unsent until the next
request or keepalive, and a healthy guest that was asked beside one whose agent hung heard of it five seconds later.

libvirtd serves twenty calls at a time. So there are places for four quick requests, five questions, and twelve calls
that block, as an agent request or a managed save does for as long as it lasts. A quick request may take the place of a
blocking one when quick ones hang.

A call that does not return within its patience hangs, as every call to a QEMU that hangs does until that QEMU is ended.
Guests of which a call hangs cannot take the last two places; for all others there are up to two more, as many as are
held by calls that hang. Where even these are taken, it is told who is waited for: whoever hangs gets no more than its
own time then.

libvirtd has five workers at first and starts another where none is free as a request comes, but only as long as none
waits: of a crowd of requests at once some are left without, and when all workers hang there is never another. So with
more than a few under way, the next waits until one has returned, or a moment.

To pull a plug must be possible when every blocking call hangs, as all saves do where the storage hangs; libvirtd itself
keeps five workers for that. So there are places for plugs alone: some for guests of which a call hangs already, whose
plug takes longest, and some for all others, who do not wait for those.
"""

import math
import threading
import time
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import libvirt

from lastcall.errors import CallExpired

QUICK, QUESTIONS, PLUGS = 4, 5, 4  # calls of a kind at a time
# Twelve of the twenty workers of a daemon. With all twenty blocked, an ACPI request to a healthy guest waited 59 s.
BLOCKING = 12
READY = 4  # calls for which libvirtd has a worker from its start, and one more for others
PACE = 0.02  # seconds in which libvirtd starts a worker
SPARE = 2  # places for guests of which no call hangs
ALIVE_FOR = 0.1  # seconds for which a connection that lived counts as alive
OPENINGS = 4  # connections that are opened at a time
OPENING = 2.0  # seconds after which one that hangs as it is opened does not count
STEP = 0.5  # seconds between two looks of one who waits: that a call hangs comes to pass without a word
Need = Literal["quick", "question", "blocking", "plug"]
_Place = Literal["quick", "question", "blocking", "spare", "plug", "plug of a hung one"]
_PLACES: dict[_Place, int] = {
    "quick": QUICK,
    "question": QUESTIONS,
    "blocking": BLOCKING,
    "spare": SPARE,
    "plug": PLUGS,
    "plug of a hung one": PLUGS,
}
# Seconds after which a call hangs. A quick one takes milliseconds; an agent that is asked to shut down answers when its
# guest is off, and a save may be one of twelve that share a disk. A question may be about no guest, or about many.
PATIENCE: dict[Need, float] = {"quick": 2.0, "question": math.inf, "blocking": 60.0, "plug": 15.0}


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


@dataclass(slots=True, eq=False)
class _Call:
    """A call under way: whom it is about, in which place, and the moment from which it hangs (monotonic clock)."""

    uuid: str
    place: _Place
    hangs_from: float

    @property
    def counts(self) -> bool:
        """Whether it takes a place that is not for its kind alone."""
        return self.place in {"blocking", "spare"}


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
        self.free = BLOCKING
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
        self._places: dict[_Place, int] = {**_PLACES}  # how many are free
        self._idle = [Lane(connection)]
        self._opening: list[float] = []  # since when connections are being opened (monotonic clock), in order
        self._told = -STEP  # when it was told last who is in the way (monotonic clock)
        self._dead: list[Lane] = []  # kept, as closing them may block

    @contextmanager
    def borrow(self, need: Need, uuid: str = "", *, timeout: float) -> Generator[Lane]:
        """Yield a lane for a call, about a guest; raises CallExpired when none is free within `timeout` seconds."""
        # A run by hand may have no limit, and a wait beyond TIMEOUT_MAX raises OverflowError.
        until = time.monotonic() + min(timeout, threading.TIMEOUT_MAX / 2)
        call, lane = self._take(need, uuid, until), None
        try:
            lane = self._lane(until)
            with self._changed:
                self._budget.keep_pace()
            yield lane
        finally:
            self._give_back(call, lane)

    def _take(self, need: Need, uuid: str, until: float) -> _Call:
        with self._changed:
            return self.try_to_take(need, uuid) or self._wait(self._budget.waiter(self, need, uuid), until)

    def try_to_take(self, need: Need, uuid: str) -> _Call | None:
        """Take a place if there is one. Called with the lock."""
        for place in self._fitting(need, uuid):
            if self._places[place]:
                call = _Call(uuid, place, time.monotonic() + PATIENCE[need])
                self._places[place] -= 1
                self._budget.begin(call)
                return call
        return None

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

    def _give_back(self, call: _Call, lane: Lane | None) -> None:
        with self._changed:
            if lane is not None:
                self._idle.append(lane)
                self._changed.notify_all()
            self._places[call.place] += 1
            self._budget.end(call)
            self._budget.admit()

    def _fitting(self, need: Need, uuid: str) -> Generator[_Place]:
        """The places that a call may take, best first. Called with the lock."""
        if need == "question":
            yield "question"
            return
        if need == "quick":
            yield "quick"
        room = self._budget.room_for(uuid)
        if room == "ordinary":
            yield "blocking"
        if need == "plug":
            yield from self._plugs(uuid)
        elif room != "none":
            yield "spare"

    def _plugs(self, uuid: str) -> Generator[_Place]:
        # Twelve saves that hung kept every lane, and the last resort of all other guests was never sent. To end a QEMU
        # that hangs takes libvirt some 12 s: its plug does not share places with those that take no time.
        if uuid not in self._budget.hanging() and not self._budget.holds_place(uuid):
            yield "plug"
            return
        yield "plug of a hung one"
        if not self._budget.holds_place(uuid) and self._places["plug"] > SPARE:
            yield "plug"

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
