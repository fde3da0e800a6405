"""Worker threads for what may block: plugins and libvirt. A worker that overruns is abandoned, never awaited.

All threads are daemons and the process leaves by `os._exit`, so that no abandoned worker delays the end of a run.
"""

import asyncio
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")

BURST = 16  # calls that may be young at the same time: 1000 guests must not mean 1000 threads
PATIENCE = 0.25  # seconds after which a call counts as slow, and lets the next one start
_SWITCH_INTERVAL = 0.0002  # seconds; measured: two abandoned spinning workers slow hand-overs 30-fold at the default


class WorkerExit(Exception):
    """What the work raised was no Exception (SystemExit, KeyboardInterrupt): it ends the work, not the program."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__)


class Workers(Protocol):
    """Runs blocking work away from the loop thread. Tests put one in its place that needs no thread."""

    async def call(self, work: Callable[[], T], *, timeout: float | None) -> T:
        """Run the work; raises what it raises (`WorkerExit` for exits), or TimeoutError after `timeout` seconds."""
        ...


@dataclass(frozen=True, slots=True)
class _Raised:
    error: Exception


@dataclass(frozen=True, slots=True)
class _Returned(Generic[T]):
    value: T


def _perform(work: Callable[[], T]) -> _Returned[T] | _Raised:
    try:
        return _Returned(work())
    except (StopIteration, StopAsyncIteration) as error:  # would mean something else to a coroutine
        return _Raised(RuntimeError(f"{type(error).__name__} raised"))
    except Exception as error:  # noqa: BLE001  whatever it is, it belongs to the caller
        return _Raised(error)
    except BaseException as error:  # noqa: BLE001  an exit ends the work, not the program
        return _Raised(WorkerExit(error))


def _unwrap(outcome: _Returned[T] | _Raised) -> T:
    if isinstance(outcome, _Raised):
        raise outcome.error
    return outcome.value


def boxed(work: Callable[[], T], *, timeout: float) -> T:
    """Run work in a thread and wait for it, without a loop; raises like `Workers.call`."""
    answers: SimpleQueue[_Returned[T] | _Raised] = SimpleQueue()
    done = threading.Event()

    def perform() -> None:
        answers.put(_perform(work))
        done.set()

    threading.Thread(target=perform, name="lastcall-boxed", daemon=True).start()
    if not done.wait(timeout):
        _abandoned()
        raise TimeoutError(f"no answer after {timeout:.0f} s")
    return _unwrap(answers.get())


def _abandoned() -> None:
    """Keep hand-overs between threads quick although an abandoned worker may spin."""
    sys.setswitchinterval(_SWITCH_INTERVAL)


def _once(action: Callable[[], None]) -> Callable[[], None]:
    """An action that happens at its first call only."""
    pending = [action]

    def act() -> None:
        if pending:
            pending.pop()()

    return act


class _Thread:
    """One worker thread, used again as long as its calls end in time."""

    def __init__(self) -> None:
        self.work: SimpleQueue[tuple[Callable[[], Any], Callable[[Any], None]]] = SimpleQueue()
        threading.Thread(target=self._serve, name="lastcall-worker", daemon=True).start()

    def _serve(self) -> None:
        while True:
            work, deliver = self.work.get()
            try:
                deliver(_perform(work))
            except RuntimeError:
                return  # the loop is closed: the run is over and nobody waits any more
            del work, deliver


class ThreadWorkers:
    """The real workers; used from the loop thread only."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._idle: list[_Thread] = []
        self._young = asyncio.Semaphore(BURST)

    async def call(self, work: Callable[[], T], *, timeout: float | None) -> T:
        """Run the work in a thread; see `Workers.call`. The wait for a thread counts as well."""
        async with asyncio.timeout(timeout):
            await self._young.acquire()
            release = _once(self._young.release)
            aging = self._loop.call_later(PATIENCE, release)
            try:
                return _unwrap(await self._hand_over(work))
            finally:
                aging.cancel()
                release()

    async def _hand_over(self, work: Callable[[], T]) -> _Returned[T] | _Raised:
        thread = self._idle.pop() if self._idle else _Thread()
        answer: asyncio.Future[_Returned[T] | _Raised] = self._loop.create_future()

        def arrive(outcome: _Returned[T] | _Raised) -> None:
            self._idle.append(thread)  # also after it was abandoned: it has come back
            if not answer.done():
                answer.set_result(outcome)

        thread.work.put((work, lambda outcome: self._post(arrive, outcome)))
        try:
            return await answer
        except asyncio.CancelledError:
            _abandoned()
            raise

    def _post(self, arrive: Callable[[Any], None], outcome: object) -> None:
        self._loop.call_soon_threadsafe(arrive, outcome)
