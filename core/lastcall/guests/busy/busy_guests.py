"""Who is busy with something that a stop would cut off, by what plugins say; no host stop waits for that."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from lastcall.api.guests import Guest, Key
from lastcall.errors import Problem, Severity
from lastcall.hooks.dispatch import Hooks
from lastcall.records.stream import Stream
from lastcall.timing.budget import BUSY
from lastcall.timing.terms import Terms

HOOK = "guest_busy"
AT_ONCE = 64  # guests


def busy_problem(guest: Guest, reasons: Iterable[str]) -> Problem:
    """That it is, as a warning."""
    remedy = "a stop cuts it off: let it come to its end first"
    return Problem(what="busy", where=guest.name, message="; ".join(reasons), remedy=remedy, severity=Severity.WARNING)


class BusyGuests:
    """Asks plugins about guests, each for itself and so many at a time."""

    def __init__(self, hooks: Hooks, stream: Stream, terms: Terms, loop: asyncio.AbstractEventLoop) -> None:
        self._hooks, self._stream, self._terms, self._loop = hooks, stream, terms, loop
        # Who is next, in order, and what asks: a task for each of 5000 took fifteen megabytes.
        self._waiting: dict[Key, Callable[[], Coroutine[Any, Any, None]]] = {}
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
            guest.key: partial(self._ask, guest, until, hear) for guest in guests if self._hooks.listens(HOOK, guest)
        }
        self._nobody_left.clear()
        self._go_on()

    def _go_on(self) -> None:
        """Ask about those whose turn it is; what waits for a worker anyway need not wait in all its parts."""
        while self._waiting and len(self._asking) < AT_ONCE:
            key = next(iter(self._waiting))
            asking = self._asking[key] = self._loop.create_task(self._waiting.pop(key)())
            asking.add_done_callback(partial(self._note_answer, key))
        if not self._asking:
            self._nobody_left.set()

    def _note_answer(self, key: Key, asking: asyncio.Task[None]) -> None:
        if self._asking.get(key) is asking:
            del self._asking[key]
        if not asking.cancelled():
            self._error = self._error or asking.exception()
        self._go_on()

    async def _ask(self, guest: Guest, until: float, hear: Callable[[Guest, Sequence[str]], object]) -> None:
        fired = await self._hooks.fire(HOOK, guest, until=until, share=BUSY)
        reasons = [reason for _, answer in fired.answers for reason in answer]
        if reasons:
            hear(guest, reasons)
