"""The phases of a shutdown run: the moments that end them, and what signals and a host stop that joins change."""

import asyncio

from lastcall.api.guests import Reason
from lastcall.records.records import RunInterrupted, RunJoined
from lastcall.records.stream import Stream
from lastcall.timing.budget import LATE
from lastcall.timing.deadline import Deadline
from lastcall.timing.moment import Moment
from lastcall.timing.terms import Terms

HASTE = 5.0  # seconds between the request and the last resort, once a host stop was told to end


class Phases:
    """The milestones of the deadline, as moments to wait for. `force`: a voluntary run takes the last resort too."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        terms: Terms,
        stream: Stream,
        *,
        own: Deadline | None = None,
        force: bool = False,
    ) -> None:
        self.terms = terms
        self._own = own or terms.deadline  # which counts again when an announcement is taken back
        self._stream = stream
        self._force = force
        deadline = terms.deadline
        self.last_ask = Moment(loop, deadline.last_ask)
        self.last_resort = Moment(loop, deadline.last_resort)
        self.last_plug = Moment(loop, deadline.last_plug)
        self.last_hook = Moment(loop, deadline.last_hook)
        self._loop = loop
        self.asks_no_more = False
        self._leaves_all = False
        self._told = 0  # signals to a host stop

    @property
    def voluntary(self) -> bool:
        """True where nothing forces the run."""
        return self.terms.reason.voluntary

    @property
    def forces(self) -> bool:
        """Whether a guest that does not stop by itself meets the last resort."""
        return not self._leaves_all and (self._force or not self.voluntary)

    def hung_plug(self) -> float:
        """When the plug of a guest has to be pulled whose QEMU hangs, to be confirmed in time (the loop's clock)."""
        return self.terms.deadline.hung_plug if self.forces else float("inf")

    def interrupt(self) -> None:
        """Answer a signal.

        A host stop asks everybody now and takes the last resort a moment later, at the second signal at once. A
        voluntary run asks nobody else and waits for those it has asked; at the second signal it stops waiting.
        """
        if not self.voluntary:
            self._told += 1
            # systemd says SIGTERM when its patience is over, and SIGKILL next. Without a moment between the request and
            # the plug whoever had not had its turn was destroyed unasked.
            if self._told == 1:
                left = min(self.terms.deadline.grace, HASTE)
                message = f"told to end: everybody is asked, last resort in {left:.1f} s"
                self._stream.problem("signal", "this run", message, "again for the last resort at once")
                self.last_ask.hasten()
                self.last_resort.bring_forward(self.terms.clock() + left)
            else:
                self._stream.problem("signal", "this run", "told to end once more: last resort now")
                self._hasten()
            self._tell_interrupted(self._told)
        elif not self.asks_no_more:
            self.asks_no_more = True
            message = "interrupted: nobody else is asked, waiting for those who were"
            self._stream.problem("signal", "this run", message, "again to stop waiting")
            self._tell_interrupted(1)
        else:
            self._leaves_all = True
            self._hasten()
            self.last_hook.hasten()
            self._tell_interrupted(2)

    def patience(self, asked: float) -> Moment | None:
        """When the plug may be pulled of a guest that was asked at a moment of the clock so late that its time is not
        over with the last resort's beginning; None = now."""
        time = min(self.terms.deadline.grace, LATE.of(max(0.0, self.last_hook.at - asked)))
        time = min(time, HASTE) if self._told else time
        if self._told > 1 or asked + time <= self.terms.clock():
            return None
        return Moment(self._loop, asked + time)

    def join(self, reason: Reason, deadline: Deadline) -> None:
        """Become the run that another process wanted to begin: the host stops. The earlier deadline counts."""
        terms = self.terms
        if not reason.voluntary:
            terms.reason, self.asks_no_more = reason, False
        # Only earlier: whoever has less time knows something, a power supply for one.
        self._own = min(self._own, deadline, key=_end)
        if deadline.end < terms.deadline.end:
            terms.change(deadline)
            self.last_ask.bring_forward(deadline.last_ask)
            self.last_resort.bring_forward(deadline.last_resort)
            self.last_plug.bring_forward(deadline.last_plug)
            self.last_hook.bring_forward(deadline.last_hook)
        self._tell_terms()

    def announce(self, reason: Reason | None, deadline: Deadline | None) -> str:
        """Learn what is known of the end of the host by now, which may be later than was thought; None = nothing.

        Returns why it changes nothing, if so.
        """
        if self.last_resort.passed:
            return "its last resort has begun"
        if self._told:
            return "it was told to end"
        self.terms.reason = reason or self.terms.reason
        counts = min(self._own, deadline or self._own, key=_end)
        self.terms.change(counts)
        self.last_ask.move(counts.last_ask)
        self.last_resort.move(counts.last_resort)
        self.last_plug.move(counts.last_plug)
        self.last_hook.move(counts.last_hook)
        self._tell_terms()
        return ""

    def _tell_terms(self) -> None:
        deadline, start = self.terms.deadline, self._stream.start
        self._stream.emit(
            RunJoined(
                at=self._stream.now(),
                reason=self.terms.reason,
                deadline=deadline.remaining(start),
                last_ask=deadline.last_ask_after(start),
                last_resort=deadline.last_resort_after(start),
            )
        )

    def _tell_interrupted(self, times: int) -> None:
        now = self._stream.now()
        last_ask, last_resort = (
            min(now, self._stream.at(moment.at)) if moment.passed else self._stream.by(moment.at)
            for moment in (self.last_ask, self.last_resort)
        )
        self._stream.emit(RunInterrupted(at=now, times=times, last_ask=last_ask, last_resort=last_resort))

    def _hasten(self) -> None:
        self.last_ask.hasten()
        self.last_resort.hasten()


def _end(deadline: Deadline) -> float:
    return deadline.end
