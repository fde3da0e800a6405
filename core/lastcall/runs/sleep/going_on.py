"""How one guest that sleeps goes on after the host has woken, once its turn has come."""

import asyncio
from dataclasses import replace

from lastcall.api.guests import Guest, GuestState, Key, Outcome
from lastcall.config.settings import RestoreSettings
from lastcall.errors import LastcallError, in_words
from lastcall.guests.starter import NotStarted, Starter
from lastcall.hypervisor.ports import Condition, GuestFacts, OtherJob, Standing
from lastcall.persistence.power.sleepers import Sleeper
from lastcall.presence.inventory import Inventory
from lastcall.records.records import GuestAsked, GuestEnded
from lastcall.records.stream import Stream
from lastcall.runs.bookkeeping import Bookkeeping
from lastcall.runs.sleep.sleep_calls import SleepCalls
from lastcall.timing.budget import SETTLING
from lastcall.timing.terms import Terms

AGAIN = "`lastcall sleep end` tries again"
MOMENT = 2.0  # seconds until one that runs is looked at once more, whose request had no answer
POLL = 0.5  # seconds between two looks at a guest that somebody's job holds
_OF_OTHERS = frozenset({Condition.IO_ERROR, Condition.ARRIVING})
_LEADS_OFF = frozenset({OtherJob.SAVE, OtherJob.START})  # after these a guest that is up now may be off


class GoingOn:
    """Resumes and starts guests one by one, and decides what has become of each. `host_stops`: see `Waking`."""

    def __init__(
        self,
        inventory: Inventory,
        books: Bookkeeping,
        calls: SleepCalls,
        starter: Starter,
        settings: RestoreSettings,
        stream: Stream,
        terms: Terms,
        *,
        host_stops: bool,
    ) -> None:
        self._inventory = inventory
        self._books = books
        self._calls, self._starter, self._settings = calls, starter, settings
        self._stream, self._terms = stream, terms
        self._host_stops = host_stops
        self.not_started: set[Key] = set()  # libvirt has refused it: a restore sees to it, and no waking
        self.owed: set[Key] = set()  # they go on, and libvirt has refused to put their on_poweroff back

    async def go_on(self, sleeper: Sleeper) -> None:
        """Let it go on, unless somebody else has seen to it."""
        try:
            standing, facts = await self._settled(sleeper)
            if _may_yet_sleep(sleeper, standing):
                await asyncio.sleep(MOMENT)
                standing, facts = await self._settled(sleeper)
        except (LastcallError, TimeoutError) as error:
            self.decide(sleeper.key, Outcome.UNKNOWN, f"{in_words(error)}; {AGAIN}")
            return
        if standing.state is GuestState.UNKNOWN:
            self.decide(sleeper.key, Outcome.UNKNOWN, f"libvirt does not say what it does; {AGAIN}")
        elif standing.state is GuestState.CRASHED:
            self.decide(sleeper.key, Outcome.FAILED, f"it has crashed; {AGAIN}")
        elif facts and facts.job and _will_pass(sleeper, standing, facts):
            self.decide(sleeper.key, Outcome.UNKNOWN, f"{facts.job.value} is under way; {AGAIN}")
        elif standing.state is GuestState.OFF:
            await self._start(sleeper, standing)
        elif sleeper.how == "pause" and standing.state is GuestState.PAUSED:
            await self._resume(sleeper.guest, facts)
        else:
            await self._is_up(sleeper, standing, facts)

    def decide(self, key: Key, outcome: Outcome, message: str = "") -> None:
        """Decide what has become of it."""
        self._stream.emit(GuestEnded(at=self._stream.now(), guest=key, outcome=outcome, message=message))

    async def _settled(self, sleeper: Sleeper) -> tuple[Standing, GuestFacts | None]:
        """What it does, and its facts where it is up: once no job holds it any more, or the time for that is over."""
        until = self._terms.soon(SETTLING)
        while True:
            standing = await self._starter.standing(sleeper.guest)
            now = replace(sleeper.guest, state=standing.state)
            facts = await self._inventory.look_anew(now) if standing.is_up else None
            over = self._host_stops or self._terms.clock() >= until
            if over or not _will_pass(sleeper, standing, facts):
                return standing, facts
            await asyncio.sleep(POLL)

    async def _is_up(self, sleeper: Sleeper, standing: Standing, facts: GuestFacts | None) -> None:
        """It is neither paused by us nor off. Whoever cannot be told for sure not to sleep yet stays noted."""
        saves = sleeper.how == "save"
        if saves and facts is None:
            self.decide(sleeper.key, Outcome.UNKNOWN, f"it cannot be looked at; {AGAIN}")
        elif sleeper.answer == "missing":
            message = f"is {standing.state.value}, and its {sleeper.how}, which was not answered, may yet come; {AGAIN}"
            self.decide(sleeper.key, Outcome.UNKNOWN, message)
        elif saves:
            await self._put_right(sleeper.guest)
            self.decide(sleeper.key, Outcome.PRESENT)
        elif sleeper.answer == "given":
            self.decide(sleeper.key, Outcome.SKIPPED, "somebody else has resumed it")
        else:
            self.decide(sleeper.key, Outcome.SKIPPED, "it runs; the sleep was cut off, perhaps before its turn")

    async def _resume(self, guest: Guest, facts: GuestFacts | None) -> None:
        if facts and facts.condition in _OF_OTHERS:
            self.decide(guest.key, Outcome.SKIPPED, f"left alone: {facts.condition.value}")
            return
        why = ""
        for attempt in range(1, self._settings.attempts + 1):
            if attempt > 1:
                await asyncio.sleep(self._settings.retry)
            self._stream.emit(GuestAsked(at=self._stream.now(), guest=guest.key, method="resume", attempt=attempt))
            try:
                await self._calls.resume(guest)
            except (LastcallError, TimeoutError) as error:
                why = in_words(error)
            else:
                self.decide(guest.key, Outcome.RESUMED)
                return
        self.decide(guest.key, Outcome.FAILED, f"{why}; it is still paused: {AGAIN}")

    async def _start(self, sleeper: Sleeper, standing: Standing) -> None:
        guest, sure = sleeper.guest, sleeper.answer == "given"
        if sleeper.how == "pause":
            self.decide(guest.key, Outcome.SKIPPED, "somebody else has stopped it" if sure else "it is off by now")
        elif not standing.saved:
            what = "its saved image is gone: somebody else has seen to it" if sure else "it is off, and was not saved"
            self.decide(guest.key, Outcome.SKIPPED, f"{what}; it stays on the list of guests to restore")
        elif self._host_stops:
            message = "stays saved, as the host stops; it comes back at its next boot"
            self.decide(guest.key, Outcome.SKIPPED, message)
        else:
            await self._start_it(guest)

    async def _start_it(self, guest: Guest) -> None:
        came = await self._starter.start(guest)
        if isinstance(came, NotStarted):
            self.not_started.add(guest.key)
            if came.parked and guest.key in self._books.state.entries:
                self._books.state.park(guest.key, bad_image=came.bad_image)
            self.decide(guest.key, Outcome.FAILED, came.why)
            return
        resumed = await self._starter.came_from_image(guest)
        await self._put_right(guest)
        started = Outcome.STARTED if came.by_us else Outcome.PRESENT
        self.decide(guest.key, Outcome.RESUMED if resumed else started)

    async def _put_right(self, guest: Guest) -> None:
        """It is going to be taken off the list, and a run that was cut off before the sleep may have left it with our
        on_poweroff: its next reboot would be for good."""
        if guest.key in self._books.restarting() and not await self._starter.let_restart(guest):
            self.owed.add(guest.key)


def _will_pass(sleeper: Sleeper, standing: Standing, facts: GuestFacts | None) -> bool:
    """Whether what it does now will not last: it is neither to be resumed in the middle of a job, nor to be called
    present while it is still being saved."""
    if not standing.is_up or facts is None or facts.condition in _OF_OTHERS:
        return False
    if sleeper.how == "save":
        return facts.job in _LEADS_OFF
    return standing.state is GuestState.PAUSED and facts.delays_requests


def _may_yet_sleep(sleeper: Sleeper, standing: Standing) -> bool:
    """Whether it is up, and nobody knows whether its request has had its effect."""
    paused = sleeper.how == "pause" and standing.state is GuestState.PAUSED
    return standing.is_up and not paused and sleeper.answer != "given"
