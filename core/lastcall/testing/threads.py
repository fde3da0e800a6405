"""Real threads on a clock that jumps: hooks run as in production, and a minute that they wait takes no time.

Time stands while any thread computes. It goes on where all wait in `run.sleep`, for a guest or for the end of a call.
"""

import asyncio
import contextlib
import selectors
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from lastcall.testing.failures import BlockedInRealTime
from lastcall.testing.memory.clock import JumpingSelector, VirtualLoop
from lastcall.testing.memory.workers import Hangs
from lastcall.threads.answers import Raised, Returned, outcome_of, unwrap

T = TypeVar("T")

PATIENCE = 10.0  # seconds of real time in which a call may do nothing that the lab sees
_LOOK = 0.02  # seconds between two looks at what computes
_WAKING = 0.002  # seconds between two looks whether a call is over before the sleep in it is


class _Computing:
    """The threads that compute, and since when (real time): while there are any, the clock stands."""

    def __init__(self) -> None:
        # By thread and not by its number, which the next one may get before this one's end is heard of.
        self._since: dict[threading.Thread, float] = {}
        self.blocked: list[BlockedInRealTime] = []
        self.patience = PATIENCE

    def __bool__(self) -> bool:
        return bool(self._since)

    def begin(self, thread: threading.Thread) -> None:
        """A thread goes on."""
        self._since[thread] = time.monotonic()

    def end(self, thread: threading.Thread) -> None:
        """It waits, or is through."""
        self._since.pop(thread, None)

    def give_up_on_the_stuck(self) -> None:
        """Wait no longer for those that have been at it for too long; what they do is kept."""
        now = time.monotonic()
        for thread, since in list(self._since.items()):
            if now - since >= self.patience:
                self.end(thread)
                # There is no other way to see the stack of another thread.
                frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
                stack = "".join(traceback.format_stack(frame)) if frame else ""
                self.blocked.append(BlockedInRealTime(now - since, stack))


class _PatientSelector(JumpingSelector):
    """Lets time jump only where no thread computes."""

    def __init__(self, computing: _Computing) -> None:
        super().__init__()
        self._computing = computing

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready, waiting in real time for threads that compute."""
        while timeout != 0 and self._computing:
            ready = selectors.SelectSelector.select(self, _LOOK)
            if ready:
                return ready
            self._computing.give_up_on_the_stuck()
        return super().select(timeout)


class LabLoop(VirtualLoop):
    """The jumping loop, which threads may ask for the time and for timers."""

    def __init__(self) -> None:
        self.computing = _Computing()
        self._home = threading.get_ident()
        super().__init__(_PatientSelector(self.computing))

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None) -> Any:
        """Set a timer; from any thread."""
        if threading.get_ident() == self._home:
            return super().call_later(delay, callback, *args, context=context)
        # A guest's domain is asked in a worker, and the guest goes off by a timer.
        return self.call_soon_threadsafe(partial(super().call_later, delay, callback, *args, context=context))

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Sleep in a worker for so many seconds of the lab's time, or until the event is set; whether it is."""
        thread, woken = threading.current_thread(), threading.Event()

        def wake() -> None:
            self.computing.begin(thread)  # first: time must not go on before the thread has
            woken.set()

        def fall_asleep() -> None:
            self.computing.end(thread)
            timers.append(self.call_later(max(0.0, seconds), wake))

        timers: list[asyncio.TimerHandle] = []
        self.call_soon_threadsafe(fall_asleep)
        while not woken.wait(_WAKING):
            if event.is_set():  # the call is over
                self.computing.begin(thread)
                for timer in timers:
                    self.call_soon_threadsafe(timer.cancel)
                break
        return event.is_set()


class LabWorkers:
    """Implements `Workers` with one thread for each call."""

    def __init__(self, loop: LabLoop, watch: Callable[[BaseException], None]) -> None:
        """`watch` sees what work raises, in its thread."""
        self._loop = loop
        self._watch = watch

    def post(self, action: Callable[[], None]) -> None:
        """Have something done on the loop thread."""
        self._loop.call_soon_threadsafe(action)

    async def call(self, work: Callable[[], T], *, timeout: float | None) -> T:
        """Run the work in a thread; raises what it raises, or TimeoutError after `timeout` seconds of the lab's."""
        if timeout is not None and timeout <= 0:
            raise TimeoutError
        answer: asyncio.Future[Returned[T] | Raised] = asyncio.Future(loop=self._loop)
        thread = threading.Thread(target=self._serve, args=(work, answer), name="lastcall-lab", daemon=True)
        thread.start()
        self._loop.computing.begin(thread)
        timer = None if timeout is None else self._loop.call_later(timeout, _give_up, answer)
        try:
            return unwrap(await answer)
        finally:
            if timer:
                timer.cancel()

    def _serve(self, work: Callable[[], T], answer: "asyncio.Future[Returned[T] | Raised]") -> None:
        thread, hangs = threading.current_thread(), list[Hangs]()

        def watched() -> T:
            try:
                return work()
            except Hangs as hang:
                hangs.append(hang)
                raise
            except BaseException as error:
                self._watch(error)
                raise

        outcome = outcome_of(watched)

        def arrive() -> None:
            self._loop.computing.end(thread)
            if not answer.done() and not hangs:
                answer.set_result(outcome)

        # The lab's run may be over: then the call was abandoned, as in production.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(arrive)


def _give_up(answer: "asyncio.Future[Any]") -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())
