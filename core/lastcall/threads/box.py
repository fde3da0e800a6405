"""A time box for calls that come one after the other, where no loop runs yet."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeVar

from lastcall.threads.answers import Raised, Returned, keep_hand_overs_quick, outcome_of, unwrap

T = TypeVar("T")


class Box:
    """One thread for all calls; to one that overruns it is left, and the next call gets another.

    It ends with the box: who follows an outage for hours opens one at every look.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] | None = None

    def call(self, work: Callable[[], T], *, timeout: float) -> T:
        """Run work and wait for it; raises what it raises (`WorkerExit` for exits), or TimeoutError."""
        answers: SimpleQueue[Returned[T] | Raised] = SimpleQueue()
        self._calls = self._calls or self._open()
        self._calls.put(lambda: answers.put(outcome_of(work)))
        try:
            return unwrap(answers.get(timeout=timeout))
        except Empty:
            self.close()  # its thread ends as soon as that call does
            keep_hand_overs_quick()
            raise TimeoutError(f"no answer after {timeout:.3g} s") from None

    def close(self) -> None:
        """Let the thread end; a later call gets another."""
        if self._calls:
            self._calls.put(None)
            self._calls = None

    def __del__(self) -> None:
        self.close()

    def _open(self) -> "SimpleQueue[Callable[[], None] | None]":
        calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

        def serve() -> None:
            while call := calls.get():
                call()

        # A daemon: one that never returns must not keep the interpreter from ending.
        threading.Thread(target=serve, name="lastcall-box", daemon=True).start()
        return calls
