"""What a run writes down: the list of guests to bring back, how long they took, and the end of its record."""

import asyncio
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import replace

from lastcall.api.guests import Guest, Key, Reason
from lastcall.api.results import Report
from lastcall.errors import NoPermission, Severity
from lastcall.hypervisor.ports import Hypervisor
from lastcall.ordering.queue import ParallelLimits
from lastcall.persistence.files import LAST_MOMENT
from lastcall.persistence.refusals import refusal
from lastcall.persistence.state import StateFile
from lastcall.persistence.waiting.entry import Cause, Entry
from lastcall.planning.history import History
from lastcall.planning.hook_times import HookBoxes
from lastcall.planning.plan import Plan
from lastcall.planning.planned_stops import planned_stops
from lastcall.planning.unforced import BRINGS_BACK
from lastcall.planning.worst_case import look_ahead
from lastcall.records.records import GuestForeseen, RunEnded, StopsForeseen
from lastcall.records.stream import Stream
from lastcall.threads.workers import Workers
from lastcall.timing.budget import WRITING
from lastcall.timing.deadline import Deadline
from lastcall.timing.terms import Terms

NOWHERE: Mapping[Key, Iterable[str]] = {}
WRITING_POLL = 0.5  # seconds between two looks at the time that is left to a write


class Bookkeeping:
    """Keeps the list and the times on disk, in bounded time: no disk holds up a run. `boot_id` is this boot's."""

    def __init__(
        self, state: StateFile, history: History, stream: Stream, workers: Workers, terms: Terms, *, boot_id: str
    ) -> None:
        self.state = state
        self.boot_id = boot_id
        self._history = history
        self._stream = stream
        self._workers = workers
        self._terms, self._began_free = terms, terms.reason.voluntary
        self._by_hand: dict[Key, Entry] = {}  # what a person meant to stop, whatever joined that run later

    def list_guests(
        self,
        guests: Iterable[Guest],
        *,
        run: str,
        named: bool,
        restarting: Container[Key] = (),
        autostarting: Container[Key] = (),
        places: Mapping[Key, Iterable[str]] = NOWHERE,
    ) -> list[Entry]:
        """Put guests on the list; in a host stop they are to come back by themselves.

        `named`: a person named them. `restarting`: those whose on_poweroff is going to be replaced for their stop.
        `autostarting`: those that libvirt starts at boot. `places`: at which other hosts some may be soon.
        """
        voluntary = self._terms.reason.voluntary
        # Who stops one guest by name before the host goes down does not mean it to come back with the others.
        if not voluntary and not named:
            self.state.make_due(self.boot_id)
        # Nobody means a guest of a drill, or one that is shed, to stay off: a host that goes down before they are back,
        # or loses its power, brings them back at the next boot.
        back = self._terms.reason in BRINGS_BACK
        cause: Cause = "hand" if voluntary and named and not back else "host"
        cause = "shed" if self._terms.reason is Reason.SHED else cause
        due = back or not voluntary
        added = self.state.add(
            guests, run=run, boot_id=self.boot_id, cause=cause, due=due, restarting=restarting,
            autostarting=autostarting,
        )  # fmt: skip
        for key in places.keys() & self.state.entries.keys():
            self.state.note_place(key, dict.fromkeys((*self.state.entries[key].where, *places[key])))
        if self._terms.reason is Reason.MANUAL:
            self._by_hand |= {(entry.uri, entry.uuid): entry for entry in added}
        return added

    def make_due(self, run: str) -> None:
        """The host stops: what `run` has stopped so far was stopped for it, as it turns out, and comes back with it."""
        self.state.make_due(self.boot_id, run)

    def turn(self, run: str) -> None:
        """The mains are back: what `run` has stopped comes back with them; not what a person has stopped by it."""
        self.state.make_shed(run, but=self._by_hand)
        # Only this: where they are by now, and what was changed of them, is not what it was when they were listed.
        for key in self._by_hand.keys() & self.state.entries.keys():
            meant = self._by_hand[key]
            self.state.entries[key] = replace(self.state.entries[key], due=meant.due, cause=meant.cause)

    def drop(self, keys: Iterable[Key]) -> None:
        """Take guests off the list."""
        self.state.drop(keys)

    async def note_move(self, guest: Guest, targets: Iterable[str]) -> None:
        """Write down, before it sets out, at which other hosts a guest of the list may be soon, where that is news."""
        entry = self.state.entries.get(guest.key)
        if entry and not {*targets} <= {*entry.where}:
            self.state.note_place(guest.key, dict.fromkeys((*entry.where, *targets)))
            await self.keep()

    def mark_left(self, keys: Iterable[Key]) -> None:
        """Note of guests on the list that they were asked and still ran when the run ended."""
        self.state.mark_left(keys)

    def restarting(self) -> set[Key]:
        """The guests on the list whose on_poweroff may have to be put back."""
        return self.state.restarting()

    def settle(self, keys: Iterable[Key]) -> None:
        """Note of guests on the list that their on_poweroff is their own."""
        self.state.settle(keys)

    async def keep(self, *, begun: bool = True) -> None:
        """Write the list. A disk that refuses or hangs is a problem of the report, not the end of the run.

        Raises NoPermission in a voluntary run that has not begun, and had better not; in a drill, and where guests
        are shed, for whatever reason.
        """
        # Composed on this thread: while the worker waits for the disk, the list goes on changing.
        write = self.state.snapshot()
        try:
            await self.write(write)
        except PermissionError:
            if self._is_free and not begun:
                remedy = "run as root, or set paths.state"
                raise NoPermission(f"no permission to write {self.state.path}", remedy) from None
            self._not_kept("no permission")
        except OSError as error:
            # Whoever a drill or shedding stops is started by that list alone, and nothing forces either.
            if self._is_free and self._terms.reason in BRINGS_BACK and not begun:
                raise refusal(error, self.state.path) from None
            self._not_kept(_why(error))

    @property
    def _is_free(self) -> bool:
        """Whether nothing forces the run, now or before: one that has turned round was a host stop, which is never
        refused."""
        return self._began_free and self._terms.reason.voluntary

    def _not_kept(self, why: str) -> None:
        message = f"{why}; the list of guests to restore was not kept"
        self._stream.problem("state", str(self.state.path), message, "is the disk full or read-only?")

    async def foresee(self, plan: Plan, limits: ParallelLimits, boxes: HookBoxes, deadline: Deadline) -> None:
        """Note what is planned for each guest, for whoever compares it with what happened. `deadline` counts from the
        start of the run. Raises TimeoutError where the disk with earlier times does not answer.
        """
        history = History(self._history.path.parent)

        def look() -> tuple[GuestForeseen, ...]:
            history.load()
            known = history.usual_of(planned.guest.key for planned in plan.guests)
            outlook = look_ahead(plan, known, limits, boxes.with_usual(history), deadline)
            stops = planned_stops(plan, outlook).items()
            return tuple(GuestForeseen(guest=key, planned=stop) for key, stop in stops)

        stops = await self._workers.call(look, timeout=self._terms.share(WRITING))
        self._stream.emit(StopsForeseen(at=self._stream.now(), guests=stops))

    async def remember_times(self) -> None:
        """Add how long guests and hooks took to what `plan` knows; where it cannot be written, estimates are lost."""
        history = self._history

        def learn() -> None:
            history.load()
            report = self._stream.story.report()
            history.learn(report.guests, report.hooks)
            history.write(history.render())

        try:
            await self.write(learn)
        except OSError as error:
            message = f"{_why(error)}; how long guests and hooks took was not kept"
            self._stream.problem("history", str(history.path), message, severity=Severity.WARNING)

    async def write(self, work: Callable[[], None]) -> None:
        """Have something written, in bounded time. Raises OSError."""
        # A disk that hangs keeps its writer in the kernel, where no timeout
        # reaches it: only a worker can be left there.
        began = self._terms.clock()
        writing = asyncio.ensure_future(self._workers.call(work, timeout=None))
        try:
            while not writing.done():
                # Counted anew: a host stop that joins meanwhile may have less time than the run that began to write.
                ends = began + max(LAST_MOMENT, WRITING.of(self._terms.deadline.remaining(began)))
                if self._terms.clock() >= ends:
                    raise TimeoutError
                await asyncio.wait({writing}, timeout=min(WRITING_POLL, ends - self._terms.clock()))
            writing.result()
        finally:
            writing.cancel()


def _why(error: OSError) -> str:
    return (error.strerror or str(error) or "no answer from the disk").lower()


def conclude(stream: Stream, hypervisor: Hypervisor) -> Report:
    """End the run's record; returns the report."""
    stream.emit(RunEnded(at=stream.now(), exit_code=stream.story.exit_code.value))
    hypervisor.close()
    return stream.story.report()
