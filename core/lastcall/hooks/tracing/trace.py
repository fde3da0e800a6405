"""The trace: a line where a hook is fired, where an implementation is called, and for what came of it."""

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from lastcall.api.guests import Guest
from lastcall.formats.bounded_text import bounded
from lastcall.formats.secret_text import masked
from lastcall.formats.visible_text import visible
from lastcall.hooks.registry import Implementation
from lastcall.hooks.tracing.onlooker import NOBODY, CallOnlooker, FiringOnlooker
from lastcall.hooks.tracing.told_values import told_answer, told_arguments

T = TypeVar("T")

LONGEST = 1000  # characters of a line


class HookTrace:
    """Implements `Onlooker`. Each line goes to `write`, from any thread, which must not block.

    `started`: from when the seconds count, on the monotonic clock, which the loops have, too. `hooks`: only calls of
    these, by default of all. `any_failed`: whether a call has.
    """

    any_failed = False

    def __init__(self, write: Callable[[str], None], *, started: float, hooks: Collection[str] = ()) -> None:
        self._write, self._started, self._hooks = write, started, hooks

    def loading(self, hook: str, plugin: str) -> CallOnlooker:
        """See `Onlooker.loading`."""
        return TracedCall(self, hook, f"{hook} of {plugin}", time.monotonic) if self._wants(hook) else NOBODY

    def asking(self, method: str, plugin: str, guest: Guest, clock: Callable[[], float]) -> CallOnlooker:
        """See `Onlooker.asking`."""
        what = f"stop method {method} of {plugin} for {guest.name}"
        return NOBODY if self._hooks else TracedCall(self, "request", what, clock)

    def firing(
        self, hook: str, guest: Guest | None, ones: Sequence[Implementation], clock: Callable[[], float]
    ) -> FiringOnlooker:
        """See `Onlooker.firing`."""
        return TracedFiring(self, hook, guest, ones, clock) if ones and self._wants(hook) else NOBODY

    def say(self, at: float, text: str) -> None:
        """Write a line of a moment on the clock."""
        self._write(f"{at - self._started:9.3f}s  trace: {visible(bounded(masked(text), LONGEST))}")

    def _wants(self, hook: str) -> bool:
        return not self._hooks or hook in self._hooks


class TracedFiring:
    """One hook, fired for a guest or for the run."""

    def __init__(
        self,
        trace: HookTrace,
        hook: str,
        guest: Guest | None,
        ones: Sequence[Implementation],
        clock: Callable[[], float],
    ) -> None:
        self._trace, self._hook, self._clock = trace, hook, clock
        self._whom = f" for {guest.name}" if guest else ""
        self._names = [one.plugin for one in ones]
        trace.say(clock(), f"{hook}{self._whom}: {', '.join(self._names)}")

    def call(self, one: Implementation) -> CallOnlooker:
        """See `FiringOnlooker.call`."""
        return TracedCall(self._trace, self._hook, self._what(one), self._clock)

    def not_called(self, one: Implementation, why: str) -> None:
        """See `FiringOnlooker.not_called`."""
        self._trace.say(self._clock(), f"{self._what(one)}: {why}")

    def _what(self, one: Implementation) -> str:
        place = f"{self._names.index(one.plugin) + 1}/{len(self._names)}"
        return f"{self._hook}{self._whom} {place} {one.plugin}"


class TracedCall:
    """One call, in words `what`; `clock` is the loop's."""

    def __init__(self, trace: HookTrace, hook: str, what: str, clock: Callable[[], float]) -> None:
        self._trace, self._hook, self._what, self._clock = trace, hook, what, clock
        self._began: float | None = None  # set by the worker, as the answer is
        self._answer = ""

    def watching(self, work: Callable[[], T], given: Mapping[str, Any]) -> Callable[[], T]:
        """The same work, of which it is told when it begins, in which thread and with what."""

        def watched() -> T:
            self._began = self._clock()
            thread = f"{threading.current_thread().name} {threading.get_native_id()}"
            self._trace.say(self._began, f"{self._what}({told_arguments(given)}) in {thread}")
            answer = work()
            # Here and now: to put it into words may be the plugin's code, and that is its own time.
            self._answer = told_answer(self._hook, answer)
            return answer

        return watched

    def ended(self, otherwise: str = "", *, failed: bool = False) -> None:
        """Tell what came of it."""
        self._trace.any_failed |= failed
        now = self._clock()
        lasted = "not begun" if self._began is None else f"{now - self._began:.3f} s"
        self._trace.say(now, f"{self._what}: {otherwise or f'returned {self._answer}'}, {lasted}")
