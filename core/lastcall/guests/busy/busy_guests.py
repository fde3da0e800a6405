"""Who is busy with something that a stop would cut off, by what plugins say; no host stop waits for that."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from lastcall.api.guests import Guest, Key
from lastcall.api.naming.guest_names import GuestNames
from lastcall.errors import Problem, Severity, in_words
from lastcall.formats.bounded_text import first_names
from lastcall.formats.values import value
from lastcall.hooks.dispatch import Hooks
from lastcall.records.stream import Stream
from lastcall.timing.budget import BUSY
from lastcall.timing.terms import Terms

HOOK = "guest_busy"
AT_ONCE = 64  # guests
FEW = 3  # names that are told of many


def busy_problem(guest: Guest, reasons: Iterable[str]) -> Problem:
    """That it is, as a warning."""
    remedy = "a stop cuts it off: let it come to its end first"
    return Problem(what="busy", where=guest.name, message="; ".join(reasons), remedy=remedy, severity=Severity.WARNING)


@value
class _Question:
    """About one guest, until then (the loop's clock); `hear` is told why it is busy, where it is."""

    guest: Guest
    until: float
    hear: Callable[[Guest, Sequence[str]], object]


class BusyGuests:
    """Asks plugins about guests, each for itself and so many at a time."""

    def __init__(self, hooks: Hooks, stream: Stream, terms: Terms, loop: asyncio.AbstractEventLoop) -> None:
        self._hooks, self._stream, self._terms, self._loop = hooks, stream, terms, loop
        # Who is next, in order, and what asks: a task for each of 5000 took fifteen megabytes.
        self._waiting: dict[Key, _Question] = {}
        self._asking: dict[Key, asyncio.Task[None]] = {}
        self._nobody_left = asyncio.Event()
        self._error: BaseException | None = None

    async def ask(self, guests: Iterable[Guest]) -> Mapping[Key, Sequence[str]]:
        """Ask about all of them at once, within their share of the time; those that are busy, and why."""
        asked, found = list(guests), dict[Key, Sequence[str]]()
        self._ask_about(asked, lambda guest, reasons: found.setdefault(guest.key, reasons))
        await self._all_are_asked()
        if self._error:  # a bug of ours: who is not known to be busy must not pass for idle
            raise self._error
        return {guest.key: found[guest.key] for guest in asked if guest.key in found}

    async def tell(self, guests: Iterable[Guest]) -> None:
        """Ask, and report each that is busy, before anybody is touched."""
        self.begin(guests)
        await self._all_are_asked()

    def begin(self, guests: Iterable[Guest]) -> None:
        """The same beside everything else; until `end`."""
        self._ask_about(guests, lambda guest, reasons: self._stream.problems([busy_problem(guest, reasons)]))

    def end(self, key: Key | None = None) -> None:
        """Ask no longer: about this guest, as something is going to be done with it, or about anybody."""
        for one in [key] if key else [*self._waiting, *self._asking]:
            self._waiting.pop(one, None)
            asking = self._asking.get(one)
            if asking and not asking.cancelling():
                asking.cancel()

    async def _all_are_asked(self) -> None:
        try:
            await self._nobody_left.wait()
        finally:
            self.end()  # of those that are left where nobody waits any more

    def _ask_about(self, guests: Iterable[Guest], hear: Callable[[Guest, Sequence[str]], object]) -> None:
        until = self._terms.soon(BUSY)
        self._waiting |= {
            guest.key: _Question(guest, until, hear) for guest in guests if self._hooks.listens(HOOK, guest)
        }
        self._nobody_left.clear()
        self._go_on()

    def _go_on(self) -> None:
        """Ask about those whose turn it is; what waits for a worker anyway need not wait in all its parts."""
        self._give_up_late()
        while self._waiting and len(self._asking) < AT_ONCE:
            question = self._waiting.pop(next(iter(self._waiting)))
            asking = self._asking[question.guest.key] = self._loop.create_task(self._ask(question))
            asking.add_done_callback(partial(self._note_answer, question.guest))
        if not self._asking:
            self._nobody_left.set()

    def _give_up_late(self) -> None:
        """Ask nothing for which no time is left: plugins would be blamed for what they were never asked."""
        now = self._loop.time()
        late = [question.guest for question in self._waiting.values() if question.until <= now]
        if not late:
            return
        for guest in late:
            del self._waiting[guest.key]
        names = first_names([*GuestNames(late).values()], FEW)
        told = f"no time was left to ask whether {names} {'is' if len(late) == 1 else 'are'} busy"
        self._stream.problem("busy", "this run", told, severity=Severity.WARNING)

    def _note_answer(self, guest: Guest, asking: asyncio.Task[None]) -> None:
        if self._asking.get(guest.key) is asking:
            del self._asking[guest.key]
        error = None if asking.cancelled() else asking.exception()
        if error:
            self._error = self._error or error
            told = f"whether it is busy is not known: {in_words(error)}"
            self._stream.problem("internal", guest.name, told, "this is a bug in lastcall")
        self._go_on()

    async def _ask(self, question: _Question) -> None:
        fired = await self._hooks.fire(HOOK, question.guest, until=question.until, share=BUSY)
        reasons = [reason for _, answer in fired.answers for reason in answer]
        if reasons:
            question.hear(question.guest, reasons)
