"""A look at guests of one connection by several workers: who does not answer costs its own look, and nobody else's."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from xml.etree import ElementTree as ET

import libvirt

from lastcall.api.guests import Guest, Key
from lastcall.errors import ConnectionLost, GuestGone, LastcallError, in_words
from lastcall.hypervisor.domain_facts import facts_of, obstacles_of
from lastcall.hypervisor.libvirt_errors import translate
from lastcall.hypervisor.ports import Condition, GuestFacts, Looked
from lastcall.threads.workers import Workers

_MANY = 5  # guests from which on two listings of all cost less than two requests for each
MOMENT = 0.5  # seconds without an answer after which others go on with the guests that wait
STILL = 3.0  # seconds without an answer after which those that are missing are given up, where somebody has answered
SILENCE = 10.0  # the same, whoever has not been asked yet
AT_ONCE = 12  # looks that may hang at a time: each holds one of the daemon's workers
UNANSWERED = "libvirt does not answer a look at it"


class Look:
    """Hands guests to workers one at a time, and keeps what each brings as it comes. For any thread: no step of it
    waits, and each is one operation of the interpreter.
    """

    def __init__(self, guests: Sequence[Guest]) -> None:
        self._waiting = deque(guests)
        self._open = {guest.key for guest in guests}
        self._facts: dict[Key, GuestFacts] = {}
        self._failed: dict[Key, str] = {}
        self.few = len(guests) < _MANY

    def __iter__(self) -> Iterator[Guest]:
        """The guests that nobody has begun to look at; each is given to one worker only."""
        while True:
            try:
                yield self._waiting.popleft()
            except IndexError:
                return

    @property
    def waiting(self) -> int:
        """How many nobody has begun to look at."""
        return len(self._waiting)

    @property
    def open(self) -> int:
        """How many have not answered yet."""
        return len(self._open)

    def take(
        self, guest: Guest, find: Callable[[], tuple[libvirt.virDomain, bool]], connection: libvirt.virConnect
    ) -> None:
        """Look at one; `find` gives its domain, and whether libvirt starts it at boot. Raises ConnectionLost."""
        try:
            domain, autostart = find()
            # Kept before its job is asked for: a QEMU that hangs in a monitor call answers for that no more, and its
            # metadata, which may say that it is not ours, were lost with it.
            self._facts[guest.key] = facts = facts_of(domain, autostart=autostart)
            condition, job = obstacles_of(domain, guest)
            if job or condition is not Condition.FREE:
                self._facts[guest.key] = replace(facts, condition=condition, job=job)
        except libvirt.libvirtError as raised:
            error = translate(raised, connection)
            if isinstance(error, ConnectionLost):
                raise error from None
            if not isinstance(error, GuestGone):
                self._failed[guest.key] = in_words(error)
        except (ET.ParseError, ValueError) as error:
            self._failed[guest.key] = f"its XML cannot be read: {in_words(error)}"
        self._open.discard(guest.key)

    def gone(self, guest: Guest) -> None:
        """Note that there is no such domain any more."""
        self._open.discard(guest.key)

    def end(self, why: str = UNANSWERED) -> Looked:
        """Hand out no more guests; what is known of each, and `why` nothing is of those that did not answer."""
        self._waiting.clear()
        facts = self._facts.copy()
        unanswered = dict.fromkeys(self._open.copy() - facts.keys(), why)
        return Looked(facts, {**self._failed, **unanswered})


class Looking:
    """One look at guests of one connection: `batch` does all of it in one worker while they answer, `aside` goes on
    for so many seconds where one of them hangs.

    `questions`: those of the workers that may ask this daemon at a time. What goes on aside has lanes of another kind,
    and is called by any: kept to the places of questions, five guests that hung left forty that were not looked at.
    """

    def __init__(
        self,
        questions: Workers,
        workers: Workers,
        guests: Sequence[Guest],
        batch: Callable[[Look], None],
        aside: Callable[[Look, float], None],
    ) -> None:
        self._questions, self._workers = questions, workers
        self._look = Look(guests)
        self._batch, self._aside = batch, aside
        self._count = len(guests)
        self._under_way: set[asyncio.Task[None]] = set()
        self._why = UNANSWERED
        self._lost = False

    async def until(self, end: Callable[[], float]) -> Looked:
        """Look until all have answered, or the loop's clock is at an end, which may move; what came by then counts."""
        loop = asyncio.get_running_loop()
        self._begin(self._questions, partial(self._batch, self._look), end)
        left, moved = self._count, loop.time()
        try:
            while (
                self._look.open and loop.time() < end() and (self._under_way or self._look.waiting) and not self._lost
            ):
                await self._wait(min(MOMENT, end() - loop.time()))
                if self._look.open < left:
                    left, moved = self._look.open, loop.time()
                elif loop.time() - moved >= SILENCE:
                    break
                elif self._look.waiting:
                    self._go_on_aside(end)
                elif left < self._count and loop.time() - moved >= STILL:
                    break
        finally:
            for task in self._under_way:
                task.cancel()
        return self._look.end(self._why)

    def _go_on_aside(self, end: Callable[[], float]) -> None:
        """As many again as hang already: two that hang take two moments, twelve take four."""
        for _ in range(min(max(1, len(self._under_way)), AT_ONCE - len(self._under_way), self._look.waiting)):
            left = max(0.0, end() - asyncio.get_running_loop().time())
            self._begin(self._workers, partial(self._aside, self._look, left), end)

    def _begin(self, workers: Workers, work: Callable[[], None], end: Callable[[], float]) -> None:
        loop = asyncio.get_running_loop()
        self._under_way.add(loop.create_task(workers.call(work, timeout=max(0.0, end() - loop.time()))))

    async def _wait(self, seconds: float) -> None:
        """Wait for the next worker to come back, or these seconds; what it failed with explains who did not answer."""
        if not self._under_way:
            return
        done, self._under_way = await asyncio.wait(
            self._under_way, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            error = task.exception()
            if isinstance(error, LastcallError):
                self._why, self._lost = in_words(error), isinstance(error, ConnectionLost)
