"""One guest's way back: its turn, what it waits for, its hooks, its start, and the wait until it is ready."""

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from lastcall.api.guests import GuestState, Outcome
from lastcall.errors import LastcallError, in_words
from lastcall.formats.quantities import format_duration
from lastcall.formats.values import value
from lastcall.guests.clock_sync import ClockSync
from lastcall.guests.readiness import Readiness
from lastcall.guests.returning.way_back import WayBack
from lastcall.guests.start_waits import StartWaits
from lastcall.guests.starter import NotStarted, Started, Starter
from lastcall.hooks.dispatch import Hooks
from lastcall.hypervisor.ports import Standing
from lastcall.ordering.scheduler import Scheduler
from lastcall.persistence.state import StateFile
from lastcall.persistence.waiting.entry import Entry
from lastcall.records.records import GuestBegun, GuestEnded
from lastcall.records.stream import Stream
from lastcall.timing.moment import Moment
from lastcall.timing.terms import Terms

if TYPE_CHECKING:
    from lastcall.guests.returning.found_guest import FoundGuest

_HALTED = "interrupted before it was started"
_STUCK = {
    GuestState.CRASHED: "its system has crashed, and it is kept as it is",
    GuestState.UNKNOWN: "libvirt does not say whether it runs",
}
_BACK = frozenset({Outcome.STARTED, Outcome.RESUMED, Outcome.PRESENT, Outcome.MOVED, Outcome.UNREADY})


@value
class Starting:
    """What the starts of one run share. When `halt` has passed, nobody else is to be started.

    `fresh`: without the saved images.
    """

    scheduler: Scheduler
    starter: Starter
    way_back: WayBack
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
        self._entry, self.guest = entry, entry.guest
        self._found: FoundGuest | None = None  # of one who may be on another host
        self._owes_restart = False  # libvirt has refused to put its on_poweroff back
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
        if self._entry.where and (standing := await self._come_home()) is None:
            return
        without = standing.saved and self._starting.fresh
        kept = await self._starter.drop_image(self.guest) if without else None
        came = kept or await self._start_when_it_can()
        if isinstance(came, NotStarted):
            self.decide(Outcome.FAILED, came.why, came)
            return
        if not came.by_us:
            await self._await_readiness(Outcome.PRESENT)
            return
        resumed = standing.saved and await self._starter.came_from_image(self.guest)
        if resumed:  # with the setting that its image has, which a run that was killed, or refused, may have replaced
            await self._let_restart()
        await self._await_readiness(Outcome.RESUMED if resumed else Outcome.STARTED)

    async def _start_when_it_can(self) -> Started | NotStarted:
        """Start it; while something is missing that it needs, wait for that, which is no failed attempt."""
        while True:
            came = await self._starter.start(self.guest)
            if isinstance(came, Started) or not came.lacks:
                return came
            lacks = await self._starting.waits.for_needs(self.guest, came.lacks)
            if lacks:
                return NotStarted(f"{came.why}; it waits for {lacks}, and stays on the list", parked=False)
            if self._starting.halt.passed:
                return NotStarted(_HALTED, parked=False)

    async def _off(self) -> Standing | None:
        """How libvirt says that it is off; None where it is not to be started, which is decided then."""
        try:
            standing = await self._settled()
        except (LastcallError, TimeoutError) as error:
            # Not parked, as nothing speaks against the guest itself: it waits on the list until its connection answers.
            self.decide(Outcome.FAILED, f"{in_words(error)}; it stays on the list")
            return None
        if standing is None:
            return None
        # libvirt starts autostart guests before any client can ask: to find one running is no failure.
        # It has begun a moment ago then, and who needs it waits until it is ready as for any other.
        if standing.is_up:
            await self._put_back()
            if standing.state is GuestState.RUNNING:
                await self._await_readiness(Outcome.PRESENT)
            else:
                self.decide(Outcome.PRESENT)  # somebody has paused it, and does not wait for it
            return None
        if standing.state is not GuestState.OFF:
            self.decide(Outcome.FAILED, f"{_STUCK[standing.state]}; it stays on the list")
            return None
        if self._starting.halt.passed:  # while libvirt did not answer, or it was waited for, which may have taken long
            self.decide(Outcome.SKIPPED, _HALTED)
            return None
        return standing

    async def _settled(self) -> Standing | None:
        """The same as `_standing`, once a save of it has come to its end, or what brings it here; None where it has
        not. Whoever took one that is being saved for one that runs had it on no list when it was off.
        """
        standing = await self._standing()
        lacks = await self._passing(standing) if standing else ""
        if not lacks:
            return standing

        async def look() -> str:
            return await self._passing(await self._starter.standing(self.guest))

        if await self._starting.waits.until_there(self.guest, lacks, look):
            self.decide(Outcome.FAILED, f"it waits for {lacks}, and stays on the list")
            return None
        return await self._standing()

    async def _passing(self, standing: Standing) -> str:
        """What has to end before a state lasts; only who stands still may be on its way here, or into an image."""
        if standing.state is not GuestState.PAUSED:
            return ""
        return await self._starter.on_its_way(replace(self.guest, state=standing.state))

    async def _standing(self) -> Standing | None:
        """What libvirt here says of it, once others have said that it is not there; None where it is decided."""
        if not self._entry.where:
            return await self._starter.first_standing(self.guest)
        found = self._found = await self._starting.way_back.find(self._entry)
        if found.runs_twice:
            told = self._starting.way_back.tell_of_two(self.guest, found)
            self.decide(Outcome.FAILED, f"{told}; it stays on the list")
            return None
        if found.lacks:
            whys = f" ({'; '.join(found.silent.values())})" if found.silent else ""
            self.decide(Outcome.FAILED, f"it waits for {found.lacks}{whys}, and stays on the list")
            return None
        return found.here

    async def _come_home(self) -> Standing | None:
        """Have it here: as it runs on another host, or off, and defined here. None where that is decided.

        All is asked once more: hooks may have taken a minute since.
        """
        standing = await self._off()
        if standing is None or self._found is None:
            return None
        way, found = self._starting.way_back, self._found
        if found.runs_at:
            await self._fetch(found.runs_at[0])
            return None
        if not self._starting.fresh and (saved := way.saved_elsewhere(self._entry, found)):
            self.decide(Outcome.FAILED, saved.why, saved)
            return None
        if found.is_defined_here or not found.defined_at:
            way.warn_of_definitions(self._entry, found, found.defined_at)
            return standing
        failed = await way.adopt(self._entry, found, fresh=self._starting.fresh)
        if failed:
            self.decide(Outcome.FAILED, failed.why, failed)
            return None
        way.warn_of_definitions(self._entry, found, found.defined_at[1:])
        await way.put_back_autostart(self._entry)
        return standing

    async def _fetch(self, uri: str) -> None:
        """Migrate it here; while something is missing here that it needs, wait for that."""
        way, waits = self._starting.way_back, self._starting.waits
        while (failed := await way.fetch(self._entry, uri)) and failed.lacks:
            lacks = await waits.until_there(self.guest, failed.lacks, lambda: way.still_lacks(self._entry, uri))
            if lacks or self._starting.halt.passed:
                break
        if failed:
            self.decide(Outcome.FAILED, failed.why, failed)
            return
        await self._put_back()
        await self._await_readiness(Outcome.MOVED, moved_from=uri)

    async def _put_back(self) -> None:
        """What its stop has made of it, and what does not travel, is as it was again."""
        await self._let_restart()
        await self._starting.way_back.put_back_autostart(self._entry)

    async def _let_restart(self) -> None:
        """Its stop was cut short: with what that made of on_poweroff, its next power-off would be for good."""
        if self._entry.restarts:
            self._owes_restart = not await self._starter.let_restart(self.guest)

    async def _await_readiness(self, outcome: Outcome, moved_from: str = "") -> None:
        began, starter = self._stream.now(), self._starter
        ready = await self._starting.readiness.reached(self.guest, lambda: starter.is_off_again(self.guest, heard=True))
        if not ready and await starter.is_off_again(self.guest, heard=False):
            after = format_duration(round(self._stream.now() - began, 1))
            since = "it was found running" if outcome is Outcome.PRESENT else "its start"
            self.decide(Outcome.FAILED, f"it went off again within {after} of {since}; it stays on the list")
            return
        if self._starting.clocks.wanted(outcome) and self.guest.state is not GuestState.PAUSED:
            await self._starting.clocks.set_clock(self.guest)
        message = "" if ready else "running, but not ready in its time"
        self.decide(outcome if ready else Outcome.UNREADY, message, moved_from=moved_from)

    async def look_again(self) -> None:
        """It could not be asked for, or has not been: where it runs by now, that is what counts.

        Of one that may be on another host it is not: half of it is here while it is on its way.
        """
        if self._entry.where:
            return
        with contextlib.suppress(LastcallError, TimeoutError):
            standing = await self._starter.standing(self.guest)
            if standing.is_up and not await self._passing(standing):
                await self._put_back()
                self.decide(Outcome.PRESENT)

    def decide(
        self, outcome: Outcome, message: str = "", failed: NotStarted | None = None, *, moved_from: str = ""
    ) -> None:
        """Decide, and let the guest leave the list only when it is back."""
        key = self.guest.key
        # One that runs here may have a second life on a host that says nothing: whoever looks again is to ask it.
        doubtful = self._found is not None and self._found.is_doubtful
        # Off the list with our on_poweroff, its next reboot would be for good.
        if outcome in _BACK and not doubtful and not self._owes_restart:
            self._starting.waiting.bring_back(key)
        elif failed and failed.parked:
            self._starting.waiting.park(key, bad_image=failed.bad_image)
        self._stream.emit(
            GuestEnded(at=self._stream.now(), guest=key, outcome=outcome, message=message, moved_from=moved_from)
        )
