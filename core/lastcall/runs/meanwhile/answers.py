"""What other processes tell the run under way, and what it answers."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, runtime_checkable

from lastcall.api.guests import Reason
from lastcall.formats.quantities import format_duration
from lastcall.formats.values import value
from lastcall.hooks.call import RunContext
from lastcall.persistence.mailbox import Answer, Request
from lastcall.records.stream import Stream
from lastcall.runs.lock import RunLock
from lastcall.threads.workers import Workers
from lastcall.timing.deadline import Deadline

DOUBT = 2.0  # seconds for systemd to say whether the host stops; who waits for the answer has no more than five


class Interruptible(Protocol):
    """Any run."""

    def interrupt(self) -> None:
        """Answer a signal."""
        ...


@runtime_checkable
class Joinable(Protocol):
    """A run that can become the one that another process wants to begin."""

    def join(self, reason: Reason, deadline: Deadline, own: Deadline | None = None) -> bool:
        """Become it; False where it is too late for that. `own`: what counts where an announcement is taken back."""
        ...

    def announce(self, reason: Reason | None, deadline: Deadline | None) -> str:
        """Learn when the host is going to stop; returns why that changes nothing, if so."""
        ...

    def power_returns(self, deadline: Deadline, stops: Reason | None) -> str:
        """Learn that the mains are back while the host stops for a reason, or does not; returns as `announce` does."""
        ...

    def power_goes(self) -> str:
        """Learn that they are gone again; returns as `announce` does."""
        ...

    def call_off(self, deadline: Deadline) -> str:
        """Shed nobody else, as somebody wants it so; returns as `announce` does."""
        ...


@value(kw_only=True)
class Deadlines:
    """The milestones of a run: its `own`, whatever was announced; those of so many seconds from its start; and those
    that a run for another reason would have had."""

    own: Deadline
    cut: Callable[[float], Deadline]
    ordinary: Callable[[Reason], Deadline]


class Answers:
    """Answers them for one run, on its loop's thread. `stopping` says why the host stops, if it does; it may block."""

    def __init__(
        self,
        lock: RunLock,
        run: Interruptible,
        context: RunContext,
        deadlines: Deadlines,
        stream: Stream,
        workers: Workers,
        loop: asyncio.AbstractEventLoop,
        stopping: Callable[[], Reason | None],
        connections: Sequence[str],
    ) -> None:
        self._lock, self._run, self._context, self._deadlines = lock, run, context, deadlines
        self._stream, self._workers, self._loop = stream, workers, loop
        self._stopping = stopping
        self._connections = tuple(connections)

    def heed(self) -> None:
        """Look what somebody wants, and answer it."""
        self._lock.heed(self._answer)

    def _answer(self, request: Request) -> Answer | None:
        """A shutdown becomes the host stop, a restore ends. None: it is answered later."""
        run = self._run
        if not isinstance(run, Joinable):
            run.interrupt()  # start nobody else,
            run.interrupt()  # and wait for nobody
            return Answer(accepted=False, message="it starts nobody else, and ends")
        if request.mains:
            return self._heed_mains(run, request)
        deadline = self._cut(request.ends)
        if request.announced:
            return self._told(run.announce(Reason(request.reason) if request.reason else None, deadline))
        joined = run.join(Reason(request.reason), deadline or self._deadlines.own, self._cut(request.own))
        return self._told("" if joined else "its guests' time is over")

    def _heed_mains(self, run: Joinable, request: Request) -> Answer | None:
        if request.mains == "gone":
            return self._told(run.power_goes())
        if not request.reason:
            self._ask_why(partial(self._turn, run, request))
            return None
        # Who calls off what sheds guests must not turn a host stop round that has joined it a moment ago.
        if request.reason != self._context.terms.reason.value:
            return self._told(f"it is not for {request.reason}")
        return self._told(run.call_off(self._deadlines.ordinary(Reason.SHED)))

    def _cut(self, ends: float | None) -> Deadline | None:
        return None if ends is None else self._deadlines.cut(ends - self._stream.start)

    def _ask_why(self, then: Callable[[Reason | None], None]) -> None:
        """Ask whether the host stops, beside the loop: systemd has to be asked now, as it may have been told since."""
        heard: list[Reason | None] = []

        def hear(reason: Reason | None) -> None:
            if not heard:
                heard.append(reason)
                then(reason)

        def ask() -> None:
            reason = self._stopping()
            self._workers.post(lambda: hear(reason))

        # To take a host stop for none would have guests cut off that nobody asks; the other way round they come back.
        self._loop.call_later(DOUBT, hear, Reason.OTHER)
        threading.Thread(target=ask, daemon=True).start()

    def _turn(self, run: Joinable, request: Request, stops: Reason | None) -> None:
        answer = self._told(run.power_returns(self._deadlines.ordinary(stops or Reason.SHED), stops))
        self._lock.heed(lambda wanted: answer if wanted == request else None)

    def _told(self, refused: str) -> Answer:
        terms = self._context.terms
        if not refused:
            self._lock.become(terms.reason, terms.until)
        left = terms.left()
        end = "as long as it takes" if left is None else f"over within {format_duration(round(left, 1))}"
        message = f"{refused}: {end}, as before" if refused else f"{self._what_for}, {end}"
        return Answer(not refused, message, self._context.id, self._connections)

    @property
    def _what_for(self) -> str:
        reason, back = self._context.terms.reason, self._stream.story.mains_back
        if back is None:
            return f"for {reason.value}"
        if reason.voluntary:
            return "it turns round: nobody else is asked, and who was asked is waited for"
        return f"the host stops all the same, for {reason.value}"
