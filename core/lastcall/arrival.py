"""One guest's way back: its turn, its hooks, its start, and the wait until it is ready."""

import asyncio
import math
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from lastcall.api.guests import GuestState, Outcome
from lastcall.bell import Bell
from lastcall.clocksync import sync_clock, wanted
from lastcall.engine import Parts
from lastcall.errors import ConnectionLost, LastcallError
from lastcall.records import GuestAsked, GuestBegun, GuestEnded
from lastcall.scheduler import Scheduler
from lastcall.state import Entry

T = TypeVar("T")
CONNECTION_POLL = 0.5  # seconds
READY_INTERVAL = 1.0  # seconds between two rounds of guest_ready
_EVENT_PATIENCE = 2.0  # seconds for the start event, which says whether the guest came from a saved image
_BACK = frozenset({Outcome.STARTED, Outcome.RESUMED, Outcome.PRESENT, Outcome.UNREADY})


class Spacing:
    """Keeps some time between one start and the next."""

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


@dataclass(frozen=True, slots=True)
class Way:
    """What the arrivals of one run share. `halted` says whether nobody else is to be started."""

    parts: Parts
    scheduler: Scheduler
    spacing: Spacing
    halted: Callable[[], bool]

    @property
    def until(self) -> float | None:
        """When the run is over, on the loop's clock; None = no limit."""
        end = self.parts.deadline.end
        return None if end == math.inf else end


class Arrival:
    """Brings one guest back. `waited_for`: names of those that it needs."""

    def __init__(self, way: Way, entry: Entry, waited_for: tuple[str, ...] = ()) -> None:
        self._way = way
        self._parts, self._stream = way.parts, way.parts.stream
        self._settings = way.parts.settings.restore
        self._entry = entry
        self.guest = entry.guest
        self._waited_for = waited_for

    async def arrive(self) -> None:
        """Do all of it. Whoever needs this guest may start when it is over: it is not held up for ever."""
        try:
            await self._way.scheduler.turn(self.guest.key)
            if self._way.halted():
                self.decide(Outcome.SKIPPED, "interrupted before it was started")
                return
            self._stream.emit(GuestBegun(at=self._stream.now(), guest=self.guest.key, waited_for=self._waited_for))
            await self._bring_back()
            result = self._stream.story.result(self.guest.key)
            await self._parts.hooks.fire("on_guest_started", self.guest, until=self._way.until, result=result)
        finally:
            self._way.scheduler.done(self.guest.key)

    async def _bring_back(self) -> None:
        """From what libvirt says the guest does, to a decided outcome."""
        try:
            standing = await self._answered(lambda: self._parts.hypervisor.standing(self.guest))
        except (LastcallError, TimeoutError) as error:
            self.decide(Outcome.FAILED, f"{error or 'no answer'}; it stays on the list")
            return
        if standing.state is not GuestState.OFF:
            self.decide(Outcome.PRESENT)
            return
        fired = await self._parts.hooks.fire("on_guest_start", self.guest, until=self._way.until)
        if fired.verdict == "skip_guest":
            self.decide(Outcome.SKIPPED, f"{fired.because}; it stays on the list")
            return
        why = await self._try_to_start()
        if why:
            self.decide(Outcome.FAILED, f"{why}; parked after {self._settings.attempts} attempts", parked=True)
            return
        outcome = Outcome.RESUMED if await self._came_from_image(saved=standing.saved) else Outcome.STARTED
        ready = await self._wait_until_ready()
        if wanted(self._settings, outcome) and self._entry.state is not GuestState.PAUSED:
            await sync_clock(self._parts, self.guest)
        self.decide(outcome if ready else Outcome.UNREADY, "" if ready else "running, but not ready in its time")

    async def _try_to_start(self) -> str:
        """Start it, as often as is configured; returns why it could not be started, or nothing."""
        why = ""
        for attempt in range(1, self._settings.attempts + 1):
            if attempt > 1:
                await asyncio.sleep(self._settings.retry)
            await self._way.spacing.wait()
            self._stream.emit(GuestAsked(at=self._stream.now(), guest=self.guest.key, method="start", attempt=attempt))
            try:
                await self._answered(self._start)
            except (LastcallError, TimeoutError) as error:
                why = str(error) or "the start took too long"
                if await self._runs():
                    return ""
            else:
                return ""
        return why

    async def _start(self) -> None:
        await self._parts.hypervisor.start(self.guest, bypass_cache=self._settings.bypass_cache)

    async def _answered(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Ask libvirt; while the connection is dead and being tried again, wait for it."""
        while True:
            try:
                return await ask()
            except ConnectionLost:
                if self._parts.presence.away(self._entry.uri) is None:
                    raise
                await asyncio.sleep(CONNECTION_POLL)

    async def _runs(self) -> bool:
        try:
            standing = await self._answered(lambda: self._parts.hypervisor.standing(self.guest))
        except (LastcallError, TimeoutError):
            return False
        return standing.state not in {GuestState.OFF, GuestState.UNKNOWN}

    async def _came_from_image(self, *, saved: bool) -> bool:
        """Only libvirt's event says so; where there was no image there is no need to wait for it."""
        if not saved:
            return False
        key, bell = self.guest.key, Bell(self._parts.loop)
        until = self._parts.loop.time() + _EVENT_PATIENCE
        with self._parts.presence.watch(key, bell.ring):
            while self._parts.presence.restored(key) is None and self._parts.loop.time() < until:
                await bell.wait(until)
        return bool(self._parts.presence.restored(key))

    async def _wait_until_ready(self) -> bool:
        if self._entry.state is GuestState.PAUSED:
            return True  # it was paused and is again: it cannot become ready, and does not have to
        now = self._parts.loop.time()
        limit = self._parts.policies.of(self.guest).ready_timeout or self._settings.ready_timeout
        until = min(now + limit, self._parts.deadline.end)
        while self._parts.loop.time() < until:
            fired = await self._parts.hooks.fire("guest_ready", self.guest, until=until, since=now)
            if not any(answer is False for _, answer in fired.answers):
                return True
            await asyncio.sleep(READY_INTERVAL)
        return False

    def decide(self, outcome: Outcome, message: str = "", *, parked: bool = False) -> None:
        """Decide, and let the guest leave the list only when it is back."""
        key = self.guest.key
        if outcome in _BACK:
            self._parts.state.drop([key])
        elif parked:
            self._parts.state.park(key)
        self._stream.emit(GuestEnded(at=self._stream.now(), guest=key, outcome=outcome, message=message))
