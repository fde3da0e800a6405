"""Before the host sleeps: connect, hooks, then who is to be paused or saved, in the order of a shutdown. Read it from
top to bottom.

Most guests are left as they are: they stand still with their host. Whatever fails leaves its guest running, which is
told, and the host sleeps all the same.
"""

import asyncio
import contextlib
from collections.abc import Sequence

from lastcall.api.guests import Ended, Guest, GuestState, Outcome
from lastcall.api.results import Report
from lastcall.config.policy.management import is_ours
from lastcall.errors import LastcallError, in_words
from lastcall.hooks.call import RunContext
from lastcall.hooks.dispatch import Hooks
from lastcall.hypervisor.ports import Condition
from lastcall.ordering.graph import make_graph
from lastcall.ordering.scheduler import Scheduler
from lastcall.persistence.power.sleepers import Nap, Sleeper
from lastcall.presence.inventory import Inventory
from lastcall.presence.sight import Sight
from lastcall.records.records import GuestAsked, GuestBegun, GuestEnded, GuestPlanned, RunInterrupted
from lastcall.records.stream import Stream
from lastcall.runs.bookkeeping import Bookkeeping, conclude
from lastcall.runs.sleep.sleep_calls import SleepCalls
from lastcall.runs.sleep.sleeping_guests import SleepingGuests
from lastcall.runs.sleep.turns import turns_of
from lastcall.timing.budget import PRE_SLEEP, WAKEFUL

POLL = 0.25  # seconds between two looks at a guest whose save was answered and that is not off yet


class GoingToSleep:
    """Pauses and saves guests, as their `sleep` says. `parallel`: guests moving at once, 0 = no limit."""

    def __init__(
        self,
        context: RunContext,
        inventory: Inventory,
        hooks: Hooks,
        books: Bookkeeping,
        sleeping: SleepingGuests,
        calls: SleepCalls,
        sight: Sight,
        stream: Stream,
        *,
        parallel: int,
    ) -> None:
        self._context, self._terms = context, context.terms
        self._inventory, self._connections = inventory, inventory.connections
        self._hooks = hooks
        self._books = books
        self._sleeping = sleeping
        self._calls = calls
        self._sight, self._loop = sight, sight.loop
        self._stream = stream
        self._parallel = parallel
        self._interrupted = False

    async def execute(self) -> Report:
        """Run it."""
        await self._connections.connect()
        everybody = await self._connections.active()
        self._context.guests = tuple(everybody)
        await self._inventory.learn(everybody)
        chosen = [guest for guest in everybody if self._how(guest)]
        for guest in chosen:
            self._stream.emit(GuestPlanned(at=self._stream.now(), guest=guest))
        await self._hooks.fire("pre_sleep", until=self._terms.soon(PRE_SLEEP))
        going = [guest for guest in chosen if self._may_go(guest)]
        if going:
            going = await self._noted(going)
        if going:
            await self._see_to_sleep(everybody, going)
            await self._note_the_end(going)
        return conclude(self._stream, self._sight.hypervisor)

    def interrupt(self) -> None:
        """Answer a signal: nobody else is paused or saved."""
        self._interrupted = True
        self._stream.emit(RunInterrupted(at=self._stream.now(), times=1))

    def _how(self, guest: Guest) -> Nap | None:
        policy = self._inventory.policies.of(guest)
        return None if policy.sleep == "leave" or not is_ours(policy) else policy.sleep

    def _may_go(self, guest: Guest) -> bool:
        """Whether it can be paused or saved; it is decided where not."""
        if guest.state is not GuestState.RUNNING:
            self._end(guest, Outcome.SKIPPED, f"is {guest.state.value} already")
            return False
        why = self._obstacle(guest)
        if why:
            self._end(guest, Outcome.LEFT, f"left running: {why}")
        return not why

    def _obstacle(self, guest: Guest) -> str:
        facts = self._inventory.facts.get(guest.key)
        if facts is None:
            return "it cannot be looked at"
        if facts.condition is not Condition.FREE:
            return facts.condition.value
        saves = self._how(guest) == "save"
        if facts.job and (saves or facts.delays_requests):
            return f"{facts.job.value} is under way"
        if saves and not guest.persistent:
            return "nobody could start it again, as it is transient"
        return f"it cannot be saved: {facts.unsaveable}" if saves and facts.unsaveable else ""

    async def _noted(self, guests: list[Guest]) -> list[Guest]:
        """Those of these that are noted: what is cut off must not leave a guest of which nobody knows."""
        try:
            await self._sleeping.recall()  # whom an earlier sleep has left paused stays known
            self._sleeping.known |= {guest.key: Sleeper.of(guest, self._how(guest) or "pause") for guest in guests}
            await self._sleeping.keep()
        except (OSError, TimeoutError) as error:
            self._leave_unnoted(guests, self._sleeping.where, error)
            return []
        saved = [guest for guest in guests if self._how(guest) == "save"]
        if not saved or await self._listed(saved):
            return guests
        return [guest for guest in guests if guest not in saved]

    async def _listed(self, guests: Sequence[Guest]) -> bool:
        """Put those that are to be saved on the list of guests: a host that never wakes brings them back at its next
        boot. False where that cannot be written: they are left running then."""
        state = self._books.state
        state.add(guests, run=self._context.id, boot_id=self._books.boot_id, cause="host", due=True)
        try:
            await self._books.write(state.snapshot())
        except OSError as error:
            state.drop(guest.key for guest in guests)
            self._leave_unnoted(guests, str(state.path), error)
            return False
        return True

    def _leave_unnoted(self, guests: Sequence[Guest], where: str, error: Exception) -> None:
        for guest in guests:
            self._sleeping.known.pop(guest.key, None)
            self._end(guest, Outcome.LEFT, f"left running: it cannot be noted in {where}: {in_words(error)}")

    async def _see_to_sleep(self, everybody: Sequence[Guest], going: Sequence[Guest]) -> None:
        keys = {guest.key for guest in going}
        waits = make_graph(everybody, self._inventory.policies, ()).needed_by
        scheduler = turns_of(keys, waits, self._connections.limits(self._parallel), self._loop)
        until = self._terms.deadline.end - self._terms.share(WAKEFUL)
        tasks = {self._loop.create_task(self._contained(guest, scheduler, until)) for guest in going}
        await asyncio.wait(tasks, timeout=self._terms.left())
        for task in tasks:
            task.cancel()
        for guest in going:
            if not self._stream.story.decided(guest.key):
                self._end(guest, Outcome.UNKNOWN, "it is not known whether it sleeps")

    async def _contained(self, guest: Guest, scheduler: Scheduler, until: float) -> None:
        """See to one guest; whatever goes wrong with it stays with it, and those that wait for it go on."""
        try:
            await scheduler.turn(guest.key)
            if self._interrupted or self._loop.time() >= until:
                why = "interrupted" if self._interrupted else "there was no time left"
                self._end(guest, Outcome.LEFT, f"left running: {why}")
                return
            self._stream.emit(GuestBegun(at=self._stream.now(), guest=guest.key))
            how = self._how(guest) or "pause"
            self._stream.emit(GuestAsked(at=self._stream.now(), guest=guest.key, method=how))
            await (self._save(guest, until) if how == "save" else self._pause(guest))
        except Exception as error:  # noqa: BLE001  the others are still to be seen to
            self._stream.problem("internal", guest.name, in_words(error), "this is a bug in lastcall")
        finally:
            scheduler.done(guest.key)

    async def _pause(self, guest: Guest) -> None:
        try:
            await self._calls.pause(guest)
        except LastcallError as error:
            self._end(guest, Outcome.LEFT, f"left running: {in_words(error)}")
        except TimeoutError:  # it may yet be paused: it stays noted, and goes on with the others
            self._end(guest, Outcome.UNKNOWN, "libvirt did not answer in time")
        else:
            self._end(guest, Outcome.PAUSED, method="pause")

    async def _save(self, guest: Guest, until: float) -> None:
        why = "its save was not over in time, and was ended"
        try:
            await self._calls.save(guest, until)
            while await self._sight.look_again(guest, until) is not GuestState.OFF and self._loop.time() < until:
                await asyncio.sleep(POLL)
        except LastcallError as error:
            why = in_words(error)
        except TimeoutError:
            pass
        try:
            off = (await self._calls.give_up_save(guest)).state is GuestState.OFF
        except (LastcallError, TimeoutError) as error:
            self._end(guest, Outcome.UNKNOWN, f"{why}; {in_words(error)}")
            return
        if off:
            self._end(guest, Outcome.SAVED, method="save", ended=Ended.SAVED)
        else:
            self._end(guest, Outcome.LEFT, f"left running: {why}")

    async def _note_the_end(self, going: Sequence[Guest]) -> None:
        """Whoever runs on is noted no longer."""
        awake = [guest.key for guest in going if self._stream.story.result(guest.key).outcome is Outcome.LEFT]
        if not awake:
            return
        for key in awake:
            self._sleeping.known.pop(key, None)
        with contextlib.suppress(OSError, TimeoutError):  # noted too much does no harm: who runs is left alone then
            await self._sleeping.keep()
        if any(self._how(guest) == "save" for guest in going if guest.key in awake):
            self._books.drop(awake)
            await self._books.keep()

    def _end(
        self, guest: Guest, outcome: Outcome, message: str = "", *, method: str | None = None,
        ended: Ended | None = None,
    ) -> None:  # fmt: skip
        self._stream.emit(
            GuestEnded(
                at=self._stream.now(), guest=guest.key, outcome=outcome, method=method, ended=ended, message=message
            )
        )
