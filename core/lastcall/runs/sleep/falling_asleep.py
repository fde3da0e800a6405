"""How one guest is paused or saved for a sleep of the host, once its turn has come."""

import asyncio
from dataclasses import replace

from lastcall.api.guests import Ended, Guest, GuestState, Outcome
from lastcall.config.policy.management import is_ours
from lastcall.errors import ConnectionLost, LastcallError, in_words
from lastcall.hypervisor.ports import Condition, GuestFacts, Standing
from lastcall.persistence.power.sleepers import Nap
from lastcall.presence.inventory import Inventory
from lastcall.presence.sight import Sight
from lastcall.records.records import GuestAsked, GuestBegun, GuestEnded
from lastcall.records.stream import Stream
from lastcall.runs.sleep.sleep_calls import AT_ONCE, SleepCalls

POLL = 0.25  # seconds between two looks at a guest whose save was answered, or ended, and is not over yet


class FallingAsleep:
    """Pauses and saves guests one by one, and decides what has become of each."""

    def __init__(self, inventory: Inventory, calls: SleepCalls, sight: Sight, stream: Stream) -> None:
        self._inventory = inventory
        self._calls = calls
        self._sight, self._loop = sight, sight.loop
        self._stream = stream

    def how(self, guest: Guest) -> Nap | None:
        """What its settings say; None: it is left as it is."""
        policy = self._inventory.policies.of(guest)
        return None if policy.sleep == "leave" or not is_ours(policy) else policy.sleep

    def may_go(self, guest: Guest, facts: GuestFacts | None) -> bool:
        """Whether it can be paused or saved, in this state and by these facts; it is decided where not."""
        if guest.state is GuestState.UNKNOWN:
            self.leave(guest, "libvirt does not say what it does")
            return False
        if guest.state is not GuestState.RUNNING:
            self._pass_over(guest, guest.state)
            return False
        why = self._obstacle(guest, facts)
        if why:
            self.leave(guest, why)
        return not why

    async def fall_asleep(self, guest: Guest, until: float) -> None:
        """Pause or save it; a save has to be over by then (on the loop's clock)."""
        # Those before it, and `pre_sleep`, took their time: whoever was paused by hand meanwhile is not to be resumed
        # afterwards as if we had done it.
        now = replace(guest, state=await self._sight.look_again(guest, until))
        facts = await self._inventory.look_anew(now) if now.state is GuestState.RUNNING else None
        if not self.may_go(now, facts):
            return
        self._stream.emit(GuestBegun(at=self._stream.now(), guest=guest.key))
        how = self.how(guest) or "pause"
        self._stream.emit(GuestAsked(at=self._stream.now(), guest=guest.key, method=how))
        await (self._save(guest, until) if how == "save" else self._pause(guest, until))

    def leave(self, guest: Guest, why: str) -> None:
        """Decide that it runs on."""
        self.end(guest, Outcome.LEFT, f"left running: {why}")

    def end(self, guest: Guest, outcome: Outcome, message: str = "", *, ended: Ended | None = None) -> None:
        """Decide what has become of it."""
        method = {Outcome.PAUSED: "pause", Outcome.SAVED: "save"}.get(outcome)
        self._stream.emit(
            GuestEnded(
                at=self._stream.now(), guest=guest.key, outcome=outcome, method=method, ended=ended, message=message
            )
        )

    def _pass_over(self, guest: Guest, state: GuestState, ended: Ended | None = None) -> None:
        what = "went off by itself" if state is GuestState.OFF else f"is {state.value} already"
        self.end(guest, Outcome.SKIPPED, what, ended=ended)

    def _obstacle(self, guest: Guest, facts: GuestFacts | None) -> str:
        if facts is None:
            return "it cannot be looked at"
        if facts.condition is not Condition.FREE:
            return facts.condition.value
        saves = self.how(guest) == "save"
        if facts.job and (saves or facts.delays_requests):
            return f"{facts.job.value} is under way"
        if saves and not guest.persistent:
            return "nobody could start it again, as it is transient"
        return f"it cannot be saved: {facts.unsaveable}" if saves and facts.unsaveable else ""

    async def _pause(self, guest: Guest, until: float) -> None:
        try:
            await self._calls.pause(guest)
        except (ConnectionLost, TimeoutError) as error:  # it may yet be paused: it stays noted, and is looked at then
            why = "libvirt did not answer in time" if isinstance(error, TimeoutError) else in_words(error)
            self.end(guest, Outcome.UNKNOWN, why)
        except LastcallError as error:
            state = await self._sight.look_again(guest, until)
            if state in {GuestState.RUNNING, GuestState.UNKNOWN}:
                self.leave(guest, in_words(error))
            else:
                self._pass_over(guest, state)
        else:
            self.end(guest, Outcome.PAUSED)

    async def _save(self, guest: Guest, until: float) -> None:
        why, refused = "its save was not over in time, and was ended", False
        try:
            await self._calls.save(guest, until)
            while await self._sight.look_again(guest, until) is not GuestState.OFF and self._loop.time() < until:
                await asyncio.sleep(POLL)
        except LastcallError as error:
            why, refused = in_words(error), not isinstance(error, ConnectionLost)
        except TimeoutError:
            pass
        try:
            # What was refused is not under way: to end its job would end that of somebody else.
            standing = await (self._calls.standing(guest) if refused else self._given_up(guest))
        except (LastcallError, TimeoutError) as error:
            self.end(guest, Outcome.UNKNOWN, f"{why}; {in_words(error)}")
            return
        self._decide(guest, standing, why, refused=refused)

    async def _given_up(self, guest: Guest) -> Standing:
        """A save that was ended may still come to its end: it stands still until either has happened."""
        standing, until = await self._calls.give_up_save(guest), self._loop.time() + AT_ONCE
        while standing.state is GuestState.PAUSED and self._loop.time() < until:
            await asyncio.sleep(POLL)
            standing = await self._calls.standing(guest)
        return standing

    def _decide(self, guest: Guest, standing: Standing, why: str, *, refused: bool) -> None:
        if standing.state is GuestState.OFF and (standing.saved or standing.ended is Ended.SAVED):
            self.end(guest, Outcome.SAVED, ended=Ended.SAVED)
        elif standing.state is GuestState.RUNNING:
            self.leave(guest, why)
        elif standing.state is GuestState.UNKNOWN or (standing.state is GuestState.PAUSED and not refused):
            self.end(guest, Outcome.UNKNOWN, f"{why}; it is not known whether it sleeps")
        else:
            self._pass_over(guest, standing.state, standing.ended)
