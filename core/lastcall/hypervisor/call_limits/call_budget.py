"""The calls that one daemon is busy with.

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

import threading
import time
from collections.abc import Callable, Generator
from typing import Literal

from lastcall.formats.values import changing
from lastcall.hypervisor.call_limits.open_call import Need, OpenCall

# Twelve of the twenty workers of a daemon. With all twenty blocked, an ACPI request to a healthy guest waited 59 s.
BLOCKING = 12
READY = 4  # calls for which libvirtd has a worker from its start, and one more for others
PACE = 0.02  # seconds in which libvirtd starts a worker
SPARE = 2  # places for guests of which no call hangs
_Take = Callable[[Need, str], OpenCall | None]


@changing
class Waiter:
    """A thread that waits for a place. It is given the call by the thread that makes room for it.

    Each woken for every call that returned, a crowd of threads took turns at finding nothing: the time of 5000 requests
    to a daemon that was busy grew from seconds to minutes.
    """

    number: int  # in the order of their coming
    take: _Take  # one for each connection
    need: Need
    uuid: str
    turn: threading.Condition
    call: OpenCall | None = None

    def try_again(self) -> OpenCall | None:
        """Take a place if there is one now. Called with the lock."""
        self.call = self.call or self.take(self.need, self.uuid)
        return self.call


class CallBudget:
    """The calls that one daemon is busy with, whatever the number of connections to it. Its lock is `changed`."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.changed = threading.Condition(self._lock)
        # Who waits for its turn has a condition of its own: to wake all for each call costs more than the call.
        self._paced = threading.Condition(self._lock)
        # Who waits, in order; a line for what is alike, so that one that cannot go on answers for all behind it.
        self.lines: dict[tuple[_Take, Need], dict[Waiter, None]] = {}
        self._came = 0
        self.pacing = 0  # calls that wait for their turn
        self.free = BLOCKING
        self.returned: int = 0  # calls that are over
        self._sent_at = -PACE  # the latest call
        self._returned_then: int = 0  # how many were over then
        self._calls: set[OpenCall] = set()

    def begin(self, call: OpenCall) -> None:
        """Count a call."""
        self._calls.add(call)
        self.free -= call.counts

    def end(self, call: OpenCall) -> None:
        """Count it no more."""
        self._calls.discard(call)
        self.free += call.counts
        self.returned += 1
        self._paced.notify()

    def enqueue(self, take: _Take, need: Need, uuid: str) -> Waiter:
        """Have somebody wait for a lane, behind those who do already. Called with the lock."""
        self._came += 1
        waiter = Waiter(self._came, take, need, uuid, threading.Condition(self._lock))
        self.lines.setdefault((take, need), {})[waiter] = None
        return waiter

    def dequeue(self, waiter: Waiter) -> None:
        """It waits no more. Called with the lock."""
        line = self.lines.get((waiter.take, waiter.need), {})
        line.pop(waiter, None)
        if not line:
            self.lines.pop((waiter.take, waiter.need), None)

    def admit(self) -> None:
        """Let go on who has a lane now. Called with the lock."""
        for line in sorted(self.lines.values(), key=lambda line: next(iter(line)).number):
            for waiter in self._admitted(line):
                self.dequeue(waiter)
                waiter.turn.notify()

    def _admitted(self, line: dict[Waiter, None]) -> Generator[Waiter]:
        for waiter in list(line):
            if waiter.try_again():
                yield waiter
            # For a guest of which a call hangs there are fewer places than for those behind it, and so for a plug.
            elif waiter.need != "plug" and waiter.uuid not in self.hanging():
                return

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
