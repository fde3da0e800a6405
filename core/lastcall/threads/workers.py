"""Worker threads for what may block: plugins and libvirt. A worker that overruns is abandoned, never awaited.

All threads are daemons and the process leaves by `os._exit`, so that no abandoned worker delays the end of a run.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

from lastcall.threads.answers import Raised, Returned, keep_hand_overs_quick, outcome_of, unwrap
from lastcall.threads.loop_calls import LoopCalls

T = TypeVar("T")

BURST = 16  # calls that may be young at the same time: 1000 guests must not mean 1000 threads
PATIENCE = 0.25  # seconds after which a call counts as slow, and lets the next one start
FEW = 2  # threads for calls that return at once: more of them only wait for each other
AT_ONCE = 0.02  # seconds after which a call has not returned at once
OVERDUE = 0.05  # seconds after which a call that still waits for its turn is one too many for the threads there are


class Workers(Protocol):
    """Runs blocking work away from the loop thread. Tests put one in its place that needs no thread."""

    async def call(self, work: Callable[[], T], *, timeout: float | None) -> T:
        """Run the work; raises what it raises (`WorkerExit` for exits), or TimeoutError after `timeout` seconds."""
        ...

    def post(self, action: Callable[[], None]) -> None:
        """Have something done on the loop thread; from any thread, in order with the ends of calls."""
        ...


class _Job(Generic[T]):
    """One call: its work, where the answer goes, when it came, and since when it is under way."""

    def __init__(self, work: Callable[[], T], answer: "asyncio.Future[Returned[T] | Raised]") -> None:
        self.work = work
        self.answer = answer
        self.came = time.monotonic()
        self.started: float | None = None
        self.abandoned = False

    def give_up(self) -> None:
        """Its time is over."""
        if not self.answer.done():
            self.abandoned = True
            self.answer.set_exception(TimeoutError())

    def deliver(self, outcome: "Returned[T] | Raised") -> None:
        """Hand the outcome to whoever still waits."""
        if not self.answer.done():
            self.answer.set_result(outcome)


# Threads are kept: one for each of 10 000 hook calls cost 0.85 s, kept ones 0.075 s.
class ThreadWorkers:
    """The real workers: a handful of threads on one queue, and one more for each call that turns out to be slow."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._inbox = LoopCalls(loop)
        self._queue: SimpleQueue[_Job[Any]] = SimpleQueue()
        self._jobs: set[_Job[Any]] = set()
        self._threads = 0
        self._late, self._slow = 0, 0  # calls under way for longer than AT_ONCE, than PATIENCE
        self._more = 0  # threads for those of which each returns soon and all together do not
        self._watch: asyncio.TimerHandle | None = None

    def post(self, action: Callable[[], None]) -> None:
        """Have something done on the loop thread; see `Workers.post`."""
        self._inbox.post(action)

    async def call(self, work: Callable[[], T], *, timeout: float | None) -> T:
        """Run the work in a thread; see `Workers.call`. The wait for a thread counts as well."""
        job = _Job(work, self._loop.create_future())
        self._jobs.add(job)
        self._queue.put(job)
        self._staff()
        # A timer of our own: asyncio.timeout costs three times as much, and there are several calls for each guest.
        timer = None if timeout is None else self._loop.call_later(max(0.0, timeout), job.give_up)
        try:
            return unwrap(await job.answer)
        finally:
            if timer:
                timer.cancel()
            # One that still waits for its thread is never begun: what was given up must not reach a guest after all.
            job.abandoned |= job.answer.cancelled()
            if job.abandoned:
                keep_hand_overs_quick()

    def _staff(self) -> None:
        """Have as many threads as the calls that are there need: a few, up to BURST while calls take their time, and
        one more for each slow call. With a fixed number, as many that hang would keep everybody else from being called.
        """
        wanted = min(BURST, FEW + self._late + self._more) + self._slow
        while self._threads < min(len(self._jobs), wanted):
            try:
                threading.Thread(target=self._serve, name="lastcall-worker", daemon=True).start()
            except RuntimeError:
                # The system has no room for another. Counted all the same, threads that are not there were relied on.
                break
            self._threads += 1
        if self._watch is None and self._threads < len(self._jobs):
            self._watch = self._loop.call_later(AT_ONCE if wanted < BURST else PATIENCE, self._look_again)

    def _look_again(self) -> None:
        self._watch = None
        now = time.monotonic()
        ages = [now - job.started for job in self._jobs if job.started is not None]
        self._late, self._slow = sum(age > AT_ONCE for age in ages), sum(age > PATIENCE for age in ages)
        self._more += any(now - job.came > OVERDUE for job in self._jobs if job.started is None)
        if self._jobs:
            self._staff()

    def _serve(self) -> None:
        while True:
            job = self._queue.get()
            job.started = time.monotonic()
            if not job.abandoned:
                outcome = outcome_of(job.work)
                self._inbox.post(partial(self._arrive, job, outcome))
            else:
                self._inbox.post(partial(self._jobs.discard, job))

    def _arrive(self, job: _Job[Any], outcome: "Returned[Any] | Raised") -> None:
        self._jobs.discard(job)
        job.deliver(outcome)
