"""One guest's way back: its turn, what it waits for, its hooks, its start, and the wait until it is ready."""

import contextlib

from lastcall.api.guests import GuestState, Outcome
from lastcall.errors import LastcallError, in_words
from lastcall.formats.values import value
from lastcall.guests.clock_sync import ClockSync
from lastcall.guests.readiness import Readiness
from lastcall.guests.start_waits import StartWaits
from lastcall.guests.starter import NotStarted, Starter
from lastcall.hooks.dispatch import Hooks
from lastcall.hypervisor.ports import Standing
from lastcall.ordering.scheduler import Scheduler
from lastcall.persistence.state import Entry, StateFile
from lastcall.records.records import GuestBegun, GuestEnded
from lastcall.records.stream import Stream
from lastcall.timing.moment import Moment
from lastcall.timing.terms import Terms

_HALTED = "interrupted before it was started"
_BACK = frozenset({Outcome.STARTED, Outcome.RESUMED, Outcome.PRESENT, Outcome.MOVED, Outcome.UNREADY})


@value
class Starting:
    """What the starts of one run share. When `halt` has passed, nobody else is to be started.

    `fresh`: without the saved images.
    """

    scheduler: Scheduler
    starter: Starter
    waits: StartWaits
    readiness: Readiness
    clocks: ClockSync
    hooks: Hooks
    waiting: StateFile
    stream: Stream
    terms: Terms
    halt: Moment
    fresh: bool = False


class GuestStart:
    """Brings one guest back. `waited_for`: names of those that it needs."""

    def __init__(self, starting: Starting, entry: Entry, waited_for: tuple[str, ...] = ()) -> None:
        self._starting = starting
        self._hooks, self._stream, self._starter = starting.hooks, starting.stream, starting.starter
        self.guest = entry.guest
        self._restarts = entry.restarts
        self._waited_for = waited_for

    async def start(self) -> None:
        """Do all of it. Whoever needs this guest may start when it is over: it is not held up for ever."""
        try:
            await self._starting.scheduler.turn(self.guest.key)
            if self._starting.halt.passed:
                self.decide(Outcome.SKIPPED, _HALTED)
                return
            self._stream.emit(GuestBegun(at=self._stream.now(), guest=self.guest.key, waited_for=self._waited_for))
            await self._bring_back()
            result = self._stream.story.result(self.guest.key)
            await self._hooks.fire("on_guest_started", self.guest, until=self._starting.terms.until, result=result)
        finally:
            self._starting.scheduler.done(self.guest.key)

    async def _bring_back(self) -> None:
        """From what libvirt says the guest does, to a decided outcome."""
        standing = await self._off()
        if standing is None:
            return
        if await self._starting.waits.before_start(self.guest):
            standing = await self._off()  # somebody else may have started it meanwhile
            if standing is None:
                return
        fired = await self._hooks.fire("on_guest_start", self.guest, until=self._starting.terms.until)
        if fired.verdict == "skip_guest":
            self.decide(Outcome.SKIPPED, f"{fired.because}; it stays on the list")
            return
        without = standing.saved and self._starting.fresh
        failed = await self._starter.drop_image(self.guest) if without else None
        failed = failed or await self._start_when_it_can()
        if failed:
            self.decide(Outcome.FAILED, failed.why, failed)
            return
        resumed = standing.saved and await self._starter.came_from_image(self.guest)
        await self._await_readiness(Outcome.RESUMED if resumed else Outcome.STARTED)

    async def _start_when_it_can(self) -> NotStarted | None:
        """Start it; while something is missing that it needs, wait for that, which is no failed attempt."""
        while True:
            failed = await self._starter.start(self.guest)
            if not failed or not failed.lacks:
                return failed
            lacks = await self._starting.waits.for_needs(self.guest, failed.lacks)
            if lacks:
                return NotStarted(f"{failed.why}; it waits for {lacks}, and stays on the list", parked=False)
            if self._starting.halt.passed:
                return NotStarted(_HALTED, parked=False)

    async def _off(self) -> Standing | None:
        """How libvirt says that it is off; None where it is not to be started, which is decided then."""
        try:
            standing = await self._starter.first_standing(self.guest)
        except (LastcallError, TimeoutError) as error:
            # Not parked, as nothing speaks against the guest itself: it waits on the list until its connection answers.
            self.decide(Outcome.FAILED, f"{in_words(error)}; it stays on the list")
            return None
        # libvirt starts autostart guests before any client can ask: to find one running is no failure.
        if standing.state is not GuestState.OFF:
            # Its stop was cut short: with what that made of on_poweroff, its next power-off would be for good.
            if self._restarts:
                await self._starter.let_restart(self.guest)
            self.decide(Outcome.PRESENT)
            return None
        if self._starting.halt.passed:  # while libvirt did not answer, or it was waited for, which may have taken long
            self.decide(Outcome.SKIPPED, _HALTED)
            return None
        return standing

    async def _await_readiness(self, outcome: Outcome) -> None:
        ready = await self._starting.readiness.reached(self.guest)
        if self._starting.clocks.wanted(outcome) and self.guest.state is not GuestState.PAUSED:
            await self._starting.clocks.set_clock(self.guest)
        self.decide(outcome if ready else Outcome.UNREADY, "" if ready else "running, but not ready in its time")

    async def look_again(self) -> None:
        """It could not be asked for, or has not been: where it runs by now, that is what counts."""
        with contextlib.suppress(LastcallError, TimeoutError):
            if (await self._starter.standing(self.guest)).state is not GuestState.OFF:
                self.decide(Outcome.PRESENT)

    def decide(self, outcome: Outcome, message: str = "", failed: NotStarted | None = None) -> None:
        """Decide, and let the guest leave the list only when it is back."""
        key = self.guest.key
        if outcome in _BACK:
            self._starting.waiting.drop([key])
        elif failed and failed.parked:
            self._starting.waiting.park(key, bad_image=failed.bad_image)
        self._stream.emit(GuestEnded(at=self._stream.now(), guest=key, outcome=outcome, message=message))
