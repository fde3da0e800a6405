"""What plugins and programs say, on its way from the workers to the stream: bounded before the loop sees it."""

import asyncio
import re
import threading
import time
from collections import deque
from collections.abc import Callable

from lastcall.formats.secret_text import masked
from lastcall.threads.workers import Workers

LINES = 2000  # of one call
RATE = 500  # lines a second of one call, and as many at once
LINE_BYTES = 4096
ROOM = 2048  # lines of all calls that wait for the loop
# A quarter of the loop's time at most: requests, events and the ends of guests come in between.
_SLICE, _PAUSE = 32, 0.005  # lines at once, and seconds between
_YIELD_AFTER, _YIELD = 64, 0.001  # calls of `say` that said too much, and seconds
_LINE_END = re.compile("\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")  # those of str.splitlines


class SaidLines:
    """The one queue of a run's lines. What has no room in it is left out, and counted by the call that said it."""

    def __init__(self, workers: Workers, loop: asyncio.AbstractEventLoop) -> None:
        self._workers, self._loop = workers, loop
        self._turns: deque[CallLines] = deque()  # one for each line; those of calls that have ended mean nothing
        self._waiting, self._lock = 0, threading.Lock()
        self._awake = False

    def of_call(self, emit: Callable[[str], None]) -> "CallLines":
        """The lines of one call, each of which is given to `emit` on the loop thread."""
        return CallLines(self, emit)

    @property
    def full(self) -> bool:
        """True while nothing more should be put."""
        return self._waiting >= ROOM

    def put(self, call: "CallLines") -> None:
        """Have the call's next line handed over soon; from any thread."""
        with self._lock:
            self._waiting += 1
        self._turns.append(call)
        if not self._awake:
            self._awake = True
            self._workers.post(self._hand_over)

    def arrived(self) -> None:
        """One that was put waits no longer."""
        with self._lock:
            self._waiting -= 1

    def _hand_over(self) -> None:
        if not self._turns:
            self._awake = False
        # Looked at once more: who has put something just before that relied on us.
        if self._turns:
            self._awake = True
            handed_over = 0
            while self._turns and handed_over < _SLICE:
                handed_over += self._turns.popleft().hand_over()
            self._loop.call_later(_PAUSE, self._hand_over)


class CallLines:
    """What one call says: so many lines, so many of them a second, each of so many bytes."""

    def __init__(self, way: SaidLines, emit: Callable[[str], None]) -> None:
        self._way, self._emit = way, emit
        self._lines: deque[str] | None = None  # hardly any call says something, and there are several for each guest
        self._lock = threading.Lock()  # a plugin may have threads of its own
        self._count = self._left_out = self._refused = 0
        self._allowed, self._looked = float(RATE), 0.0
        self._ended = False  # set by the loop thread

    def say(self, text: str) -> None:
        """Say a text of any length, line by line; from any thread. Costs little where it is too much."""
        text = masked(text)  # before it is cut: of half a secret nobody knows what it is
        with self._lock:
            at = 0
            while at < len(text) or not text:
                end = _LINE_END.search(text, at)
                if not self._take(text[at : end.start() if end else None]):
                    self._left_out += text.count("\n", at) + (not text.endswith("\n"))
                    self._refused += 1
                    break
                if not end:
                    break
                at = end.end()
            too_much = self._refused % _YIELD_AFTER == 1
        if too_much and not at:
            time.sleep(_YIELD)  # else a plugin that says things in a loop takes the interpreter from the loop thread

    def hand_over(self) -> bool:
        """Emit the line that has waited longest, if the end of the call has not done so; on the loop thread."""
        if not self._lines:
            return False
        self._way.arrived()
        self._emit(self._lines.popleft())
        return True

    def end(self) -> None:
        """Emit what still waits, and how much was left out; on the loop thread."""
        self._ended = True  # first: a worker in the middle of a long text says no more of it
        while self.hand_over():
            pass
        if self._left_out:
            self._emit(f"… cut: {self._left_out} more line{'' if self._left_out == 1 else 's'} left out")

    def _take(self, line: str) -> bool:
        now = time.monotonic()
        self._allowed = min(RATE, self._allowed + (now - self._looked) * RATE)
        self._looked = now
        if self._ended or self._count >= LINES or self._allowed < 1 or self._way.full:
            return False
        self._count += 1
        self._allowed -= 1
        self._lines = deque() if self._lines is None else self._lines
        self._lines.append(_bounded(line.rstrip()))
        self._way.put(self)
        return True


def _bounded(line: str) -> str:
    head = line[:LINE_BYTES].encode("utf-8", "surrogatepass")
    if len(line) <= LINE_BYTES and len(head) <= LINE_BYTES:
        return line
    kept = head[:LINE_BYTES].decode("utf-8", "ignore")
    return f"{kept}… cut: {len(line) - len(kept)} more characters left out"
