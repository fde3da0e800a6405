"""The phases of a shutdown run: the moments that end them, and what signals and a host stop that joins change."""

import asyncio

from lastcall.api.guests import Reason
from lastcall.formats.values import value
from lastcall.records.records import PowerChanged, RunInterrupted, RunJoined
from lastcall.records.stream import Stream
from lastcall.threads.wakeup import Wakeup
from lastcall.timing.budget import LATE
from lastcall.timing.deadline import Deadline
from lastcall.timing.moment import Moment
from lastcall.timing.terms import Terms

HASTE = 5.0  # seconds between the request and the last resort, once a host stop was told to end


@value
class Before:
    """What a run was before it turned round, and becomes again where the mains go once more."""

    reason: Reason
    own: Deadline
    asks_no_more: bool


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
        self._before: Before | None = None

    @property
    def voluntary(self) -> bool:
        """True where nothing forces the run."""
        return self.terms.reason.voluntary

    @property
    def turned(self) -> bool:
        """Whether the mains are back: not even those that were asked are asked again, and no plug is pulled."""
        return self._before is not None

    @property
    def sheds(self) -> bool:
        """Whether it only sheds guests, or did so until it turned round."""
        return (self._before.reason if self._before else self.terms.reason) is Reason.SHED

    @property
    def why_unasked(self) -> str:
        """What is said of a guest that is not asked any more."""
        return "the mains were back before it was asked" if self.turned else "interrupted before it was asked"

    @property
    def forces(self) -> bool:
        """Whether a guest that does not stop by itself meets the last resort."""
        return not (self._leaves_all or self.turned) and (self._force or not self.voluntary)

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

    async def until_everybody_is_asked(self) -> None:
        """Wait for the moment in which everybody is asked, or from which on nobody is."""
        wakeup = Wakeup(self._loop)
        with self.last_ask.watch(wakeup.ring):
            while not (self.last_ask.passed or self.asks_no_more):
                await wakeup.wait()

    def patience(self, asked: float) -> Moment | None:
        """When the plug may be pulled of a guest that was asked at a moment of the clock so late that its time is not
        over with the last resort's beginning; None = now."""
        time = min(self.terms.deadline.grace, LATE.of(max(0.0, self.last_hook.at - asked)))
        time = min(time, HASTE) if self._told else time
        if self._told > 1 or asked + time <= self.terms.clock():
            return None
        return Moment(self._loop, asked + time)

    def join(self, reason: Reason, deadline: Deadline, own: Deadline | None = None) -> None:
        """Become the run that another process wanted to begin: the host stops. The earlier deadline counts; where an
        announcement is taken back, it is `own`."""
        terms, own = self.terms, own or deadline
        if not reason.voluntary:
            # Nobody who tells a run by hand to wait for nobody means that a host which stops is to cut guests off.
            terms.reason, self.asks_no_more, self._leaves_all = reason, False, False
            if self.turned:
                # What it had left was for those that it had asked: who joins knows more of the host's end.
                self._before, self._own = None, own
                self._count_by(deadline, anew=True)
        # Only earlier: whoever has less time knows something, a power supply for one.
        self._own = min(self._own, own, key=_end)
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
        refused = self._too_late
        if refused:
            return refused
        self.terms.reason = reason or self.terms.reason
        self._count_by(min(self._own, deadline or self._own, key=_end))
        self._tell_terms()
        return ""

    def turn(self, deadline: Deadline) -> None:
        """Turn round, as the mains are back and nothing stops the host: from now on it only waits for those that were
        asked, as long as was planned or by this deadline."""
        if self.turned:
            return
        terms = self.terms
        self._before = Before(terms.reason, self._own, self.asks_no_more)
        terms.reason, self.asks_no_more, self._told = Reason.SHED, True, 0
        # A battery's time may have been longer than any other; nobody has less of it as it is not needed any more.
        self._own = max(terms.deadline, deadline, key=_end)
        # Also where the last resort had begun: who is asked once more gets its time once more.
        self._count_by(self._own, anew=True)
        self._tell_power(back=True)

    def go_on(self, deadline: Deadline | None) -> None:
        """Be again what it was before it turned round, as the mains are gone again, with this deadline or the same
        time once more."""
        if self._before is None:
            return
        before, self._before = self._before, None
        self.terms.reason, self.asks_no_more, self._leaves_all = before.reason, before.asks_no_more, False
        self._own = deadline or before.own.since(self._stream.start - self.terms.clock())
        self._count_by(self._own, anew=True)
        self._tell_power(back=False)

    def relax(self, reason: Reason, deadline: Deadline) -> str:
        """Learn that the mains are back while the host stops, for this reason as systemd has it: the deadline of a host
        stop that is not for want of power counts. Returns why that comes too late, if so."""
        # Whoever asks later about the end of the host wants to know that the power was back by then.
        self.terms.reason = reason
        refused = self._too_late
        if not refused:
            self._own = max(self._own, deadline, key=_end)
            self._count_by(self._own)
        self._tell_power(back=True)
        return refused

    @property
    def _too_late(self) -> str:
        """Why nothing that is announced changes anything, if so."""
        if self.last_resort.passed:
            return "its last resort has begun"
        return "it was told to end" if self._told else ""

    def _count_by(self, deadline: Deadline, *, anew: bool = False) -> None:
        self.terms.change(deadline)
        self.last_ask.move(deadline.last_ask, anew=anew)
        self.last_resort.move(deadline.last_resort, anew=anew)
        self.last_plug.move(deadline.last_plug, anew=anew)
        self.last_hook.move(deadline.last_hook, anew=anew)

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

    def _tell_power(self, *, back: bool) -> None:
        deadline, start = self.terms.deadline, self._stream.start
        self._stream.emit(
            PowerChanged(
                at=self._stream.now(),
                back=back,
                turned=self.turned,
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
