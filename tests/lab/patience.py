"""Patience with what the lab runs: as long as it moves, and by a clock that a busy machine does not speed up.

A limit in seconds is a guess about the machine. What tells that something hangs is that it has died, that it has used
far more processor time than it needs, or that for long it has neither said nor done anything.
"""

import time
from collections.abc import Callable
from typing import TypeVar

from lab.processes import alive, cpu_seconds

LONGEST = 600.0
"""Seconds after which nothing is waited for any more; also for the subprocesses of tests, whose end is awaited."""
STILL = 120.0
"""Seconds without a word and nearly without work after which nothing is going to happen any more."""
WORK = 5.0
"""Processor seconds: whoever has work gets more in `STILL` on the busiest machine, whoever idles uses less."""
EFFORT = 300.0
"""Processor seconds: ten times what the slowest boot of a guest or host takes."""

T = TypeVar("T")


class OutOfPatience(AssertionError):
    """It does not come: the message says what was waited for, what moved last, and what was said last."""


def wait_until(
    condition: Callable[[], T],
    what: str,
    *,
    process: int | None = None,
    output: Callable[[], str] | None = None,
    pause: float = 0.1,
) -> T:
    """Wait until `condition` holds, and return what it returned; `what` says in words what that is.

    `process`: who is at work on it, with everything that it starts. `output`: all that has been said so far.
    `pause`: seconds between two looks. Raises OutOfPatience.
    """
    progress = _Progress(process, output)
    while not (found := condition()):
        why = progress.hopeless()
        if why:
            last = condition()  # it may have come about with the last breath
            if last:
                return last
            raise OutOfPatience(f"{what}: {why}; {progress}")
        time.sleep(pause)
    return found


class _Progress:
    """What moved, and when."""

    def __init__(self, process: int | None, output: Callable[[], str] | None) -> None:
        self._process, self._output = process, output
        self._began = self._moved = self._looked = time.monotonic()
        self._mover = "nothing"
        self._said = output() if output else ""
        self._used_before = self._used = self._used_when_moved = cpu_seconds(process) if process else 0.0

    def hopeless(self) -> str:
        """Why there is nothing to wait for any more; empty while there is."""
        if self._process and not alive(self._process):
            return "its process has ended"
        now = time.monotonic()
        if now - self._looked > 1.0:  # looking at every process costs some time itself
            self._look(now)
        if self._used - self._used_before > EFFORT:
            return f"its process has used more than {EFFORT:.0f} s of processor time"
        if (self._process or self._output) and now - self._moved > STILL:
            return f"nothing has moved for {STILL:.0f} s"
        return f"not within {LONGEST:.0f} s" if now - self._began > LONGEST else ""

    def _look(self, now: float) -> None:
        self._looked = now
        if self._process:
            self._used = max(self._used, cpu_seconds(self._process))  # it ends, and takes its children's away
            if self._used - self._used_when_moved > WORK:
                self._moved, self._mover, self._used_when_moved = now, "the process", self._used
        if self._output and (said := self._output()) != self._said:
            self._moved, self._mover, self._said = now, "the output", said
            self._used_when_moved = self._used

    def __str__(self) -> str:
        now = time.monotonic()
        used = f", {self._used - self._used_before:.1f} of them on a processor" if self._process else ""
        tail = f"; it said last:\n{self._said[-2000:]}" if self._said else ""
        return f"{now - self._began:.0f} s{used}; {self._mover} moved last, {now - self._moved:.0f} s ago{tail}"
