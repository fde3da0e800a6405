"""The places for calls that one connection has, and waiting for one."""

import math
import time
from collections.abc import Callable, Collection, Generator

from lastcall.errors import CallExpired
from lastcall.hypervisor.call_limits.call_budget import BLOCKING, SPARE, CallBudget, Waiter
from lastcall.hypervisor.call_limits.open_call import Need, OpenCall, Place

QUICK, QUESTIONS, PLUGS = 4, 5, 4  # calls of a kind at a time
STEP = 0.5  # seconds between two looks of one who waits: that a call hangs comes to pass without a word
# Seconds after which a call hangs. A quick one takes milliseconds; an agent that is asked to shut down answers when its
# guest is off, and a save may be one of twelve that share a disk. A question may be about no guest, or about many.
PATIENCE: dict[Need, float] = {"quick": 2.0, "question": math.inf, "blocking": 60.0, "plug": 15.0}
_PLACES: dict[Place, int] = {
    "quick": QUICK,
    "question": QUESTIONS,
    "blocking": BLOCKING,
    "spare": SPARE,
    "plug": PLUGS,
    "plug of a hung one": PLUGS,
}


class CallPlaces:
    """The places that one connection has of each kind, as far as its daemon's budget goes."""

    def __init__(self, budget: CallBudget) -> None:
        self._budget = budget
        self._free: dict[Place, int] = {**_PLACES}

    def take(self, need: Need, uuid: str, until: float, tell: Callable[[Collection[str]], None]) -> OpenCall:
        """Take a place; who waits tells whose calls hang meanwhile (UUIDs). Raises CallExpired when it is `until`."""
        with self._budget.changed:
            return self.try_to_take(need, uuid) or self._wait(
                self._budget.enqueue(self.try_to_take, need, uuid), until, tell
            )

    def give_back(self, call: OpenCall) -> None:
        """The call is over. Called with the lock."""
        self._free[call.place] += 1
        self._budget.end(call)
        self._budget.admit()

    def try_to_take(self, need: Need, uuid: str) -> OpenCall | None:
        """Take a place if there is one. Called with the lock."""
        for place in self._fitting(need, uuid):
            if self._free[place]:
                call = OpenCall(uuid, place, time.monotonic() + PATIENCE[need])
                self._free[place] -= 1
                self._budget.begin(call)
                return call
        return None

    def _wait(self, waiter: Waiter, until: float, tell: Callable[[Collection[str]], None]) -> OpenCall:
        """Wait for a place, and tell who is in the way."""
        try:
            # That a call hangs comes to pass without a word, so that it is looked again by itself as well.
            while (call := waiter.try_again()) is None:
                left = until - time.monotonic()
                if left <= 0:
                    raise CallExpired("libvirt was too busy to take the request in time")
                # Nobody waits because of its own call: that one's time is its own affair.
                tell(self._budget.hanging().keys() - {waiter.uuid})
                waiter.turn.wait(min(left, STEP))
            return call
        finally:
            self._budget.dequeue(waiter)

    def _fitting(self, need: Need, uuid: str) -> Generator[Place]:
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

    def _plugs(self, uuid: str) -> Generator[Place]:
        # Twelve saves that hung kept every lane, and the last resort of all other guests was never sent. To end a QEMU
        # that hangs takes libvirt some 12 s: its plug does not share places with those that take no time.
        if uuid not in self._budget.hanging() and not self._budget.holds_place(uuid):
            yield "plug"
            return
        yield "plug of a hung one"
        if not self._budget.holds_place(uuid) and self._free["plug"] > SPARE:
            yield "plug"
