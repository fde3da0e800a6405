"""One guest's way back: its turn, its hooks, its start, and the wait until it is ready."""

import asyncio
import contextlib
import math
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from lastcall.api.guests import Guest, GuestState, Outcome
from lastcall.config.settings import RestoreSettings
from lastcall.errors import ConnectionLost, HypervisorError, LastcallError, in_words
from lastcall.formats.values import value
from lastcall.guests.clock_sync import ClockSync
from lastcall.guests.readiness import Readiness
from lastcall.hooks.dispatch import Hooks
from lastcall.hypervisor.ports import Hypervisor, Standing
from lastcall.ordering.scheduler import Scheduler
from lastcall.persistence.state import Entry, StateFile
from lastcall.presence.power_state import PowerState
from lastcall.records.records import GuestAsked, GuestBegun, GuestEnded
from lastcall.records.report_builder import START
from lastcall.records.stream import Stream
from lastcall.rungs.on_poweroff import set_on_poweroff
from lastcall.threads.wakeup import Wakeup
from lastcall.timing.terms import Terms

T = TypeVar("T")
CONNECTION_POLL = 0.5  # seconds
_EVENT_PATIENCE = 2.0  # seconds for the start event, which says whether the guest came from a saved image
_BACK = frozenset({Outcome.STARTED, Outcome.RESUMED, Outcome.PRESENT, Outcome.UNREADY})


class Spacing:
    """Keeps some time (seconds) between one start and the next."""

    def __init__(self, loop: asyncio.AbstractEventLoop, delay: float) -> None:
        self._loop = loop
        self._delay = delay
        self._lock = asyncio.Lock()
        self._next = -math.inf

    async def wait(self) -> None:
        """Wait until the next guest may start."""
        if self._delay:
            async with self._lock:
                await asyncio.sleep(max(0.0, self._next - self._loop.time()))
                self._next = self._loop.time() + self._delay


@value
class NotStarted:
    """Why a guest was not started. `parked`: libvirt refused each attempt; no answer says nothing about the guest."""

    why: str
    parked: bool


class Starter:
    """Has libvirt start guests, as often as is configured, and finds out whether they came from a saved image."""

    def __init__(
        self,
        hypervisor: Hypervisor,
        status: PowerState,
        stream: Stream,
        settings: RestoreSettings,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._hypervisor = hypervisor
        self._status = status
        self._stream = stream
        self._settings = settings
        self._loop = loop
        self._spacing = Spacing(loop, settings.delay)

    async def standing(self, guest: Guest) -> Standing:
        """Ask libvirt about a guest; raises LastcallError or TimeoutError."""
        return await self._answered(guest, lambda: self._hypervisor.standing(guest))

    async def first_standing(self, guest: Guest) -> Standing:
        """The same as often as a start is tried: a daemon that hangs as the host boots answers a minute later."""
        for _ in range(1, self._settings.attempts):
            with contextlib.suppress(LastcallError, TimeoutError):
                return await self.standing(guest)
            await asyncio.sleep(self._settings.retry)
        return await self.standing(guest)

    async def start(self, guest: Guest) -> NotStarted | None:
        """Start it; returns why it could not be started, if so."""
        why, refusals = "", 0
        # At boot a network, pool or disk may not be there yet. libvirt-guests tries once, deletes
        # its list, and the guest is lost for good.
        for attempt in range(1, self._settings.attempts + 1):
            if attempt > 1:
                await asyncio.sleep(self._settings.retry)
            await self._spacing.wait()
            self._stream.emit(GuestAsked(at=self._stream.now(), guest=guest.key, method=START, attempt=attempt))
            try:
                await self._answered(guest, lambda: self._start(guest))
            except (LastcallError, TimeoutError) as error:
                why = in_words(error)
                state = await self._state(guest)
                # The answer may have been lost, or somebody else was faster: it runs, which is all that was wanted.
                if state not in {GuestState.OFF, GuestState.UNKNOWN}:
                    return None
                refused = isinstance(error, HypervisorError) and not isinstance(error, ConnectionLost)
                # Of one that libvirt says nothing about, it may have been refused because it runs.
                refusals += refused and state is GuestState.OFF
            else:
                return None
        parked = refusals == self._settings.attempts
        rest = f"parked after {refusals} attempts" if parked else "it stays on the list"
        return NotStarted(f"{why}; {rest}", parked=parked)

    async def let_restart(self, guest: Guest) -> None:
        """Give a guest that was never off its on_poweroff=restart back."""
        await set_on_poweroff(self._hypervisor, self._stream, guest, "restart")

    async def _start(self, guest: Guest) -> None:
        await self._hypervisor.start(guest, bypass_cache=self._settings.bypass_cache)

    async def _answered(self, guest: Guest, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Ask libvirt; while the connection is dead and being tried again, wait for it."""
        while True:
            try:
                return await ask()
            except ConnectionLost:
                if self._status.away(guest.uri) is None:
                    raise
                await asyncio.sleep(CONNECTION_POLL)

    async def _state(self, guest: Guest) -> GuestState:
        try:
            return (await self.standing(guest)).state
        except (LastcallError, TimeoutError):
            return GuestState.UNKNOWN

    async def came_from_image(self, guest: Guest) -> bool:
        """Wait for libvirt's STARTED event: it alone says so, not the image that was there before."""
        key, wakeup = guest.key, Wakeup(self._loop)
        until = self._loop.time() + _EVENT_PATIENCE
        with self._status.watch(key, wakeup.ring):
            while self._status.restored(key) is None and self._loop.time() < until:
                await wakeup.wait(until)
        return bool(self._status.restored(key))


@value
class Starting:
    """What the starts of one run share. `halted` says whether nobody else is to be started."""

    scheduler: Scheduler
    starter: Starter
    readiness: Readiness
    clocks: ClockSync
    hooks: Hooks
    waiting: StateFile
    stream: Stream
    terms: Terms
    halted: Callable[[], bool]


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
            if self._starting.halted():
                self.decide(Outcome.SKIPPED, "interrupted before it was started")
                return
            self._stream.emit(GuestBegun(at=self._stream.now(), guest=self.guest.key, waited_for=self._waited_for))
            await self._bring_back()
            result = self._stream.story.result(self.guest.key)
            await self._hooks.fire("on_guest_started", self.guest, until=self._starting.terms.until, result=result)
        finally:
            self._starting.scheduler.done(self.guest.key)

    async def _bring_back(self) -> None:
        """From what libvirt says the guest does, to a decided outcome."""
        try:
            standing = await self._starter.first_standing(self.guest)
        except (LastcallError, TimeoutError) as error:
            # Not parked, as nothing speaks against the guest itself: it waits on the list until its connection answers.
            self.decide(Outcome.FAILED, f"{in_words(error)}; it stays on the list")
            return
        # libvirt starts autostart guests before any client can ask: to find one running is no failure.
        if standing.state is not GuestState.OFF:
            # Its stop was cut short: with what that made of on_poweroff, its next power-off would be for good.
            if self._restarts:
                await self._starter.let_restart(self.guest)
            self.decide(Outcome.PRESENT)
            return
        if self._starting.halted():  # while libvirt did not answer, which may have taken long
            self.decide(Outcome.SKIPPED, "interrupted before it was started")
            return
        fired = await self._hooks.fire("on_guest_start", self.guest, until=self._starting.terms.until)
        if fired.verdict == "skip_guest":
            self.decide(Outcome.SKIPPED, f"{fired.because}; it stays on the list")
            return
        failed = await self._starter.start(self.guest)
        if failed:
            self.decide(Outcome.FAILED, failed.why, parked=failed.parked)
            return
        resumed = standing.saved and await self._starter.came_from_image(self.guest)
        await self._await_readiness(Outcome.RESUMED if resumed else Outcome.STARTED)

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

    def decide(self, outcome: Outcome, message: str = "", *, parked: bool = False) -> None:
        """Decide, and let the guest leave the list only when it is back."""
        key = self.guest.key
        if outcome in _BACK:
            self._starting.waiting.drop([key])
        elif parked:
            self._starting.waiting.park(key)
        self._stream.emit(GuestEnded(at=self._stream.now(), guest=key, outcome=outcome, message=message))
