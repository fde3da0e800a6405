"""Who is busy with something that a stop would cut off, by what plugins say; no host stop waits for that."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from lastcall.api.guests import Guest, Key
from lastcall.errors import Problem, Severity
from lastcall.hooks.dispatch import Hooks
from lastcall.records.stream import Stream
from lastcall.timing.budget import BUSY
from lastcall.timing.terms import Terms

HOOK = "guest_busy"
AT_ONCE = 64  # guests; what waits for a worker anyway need not wait in all its parts


def busy_problem(guest: Guest, reasons: Iterable[str]) -> Problem:
    """That it is, as a warning."""
    remedy = "a stop cuts it off: let it come to its end first"
    return Problem(what="busy", where=guest.name, message="; ".join(reasons), remedy=remedy, severity=Severity.WARNING)


class BusyGuests:
    """Asks plugins about guests, each for itself."""

    def __init__(self, hooks: Hooks, stream: Stream, terms: Terms, loop: asyncio.AbstractEventLoop) -> None:
        self._hooks, self._stream, self._terms, self._loop = hooks, stream, terms, loop
        self._asking: dict[Key, asyncio.Task[Sequence[str]]] = {}
        self._places = asyncio.Semaphore(AT_ONCE)

    async def ask(self, guests: Iterable[Guest]) -> Mapping[Key, Sequence[str]]:
        """Ask about all of them at once, within their share of the time; those that are busy, and why."""
        asked = [guest for guest in guests if self._hooks.listens(HOOK, guest)]
        until = self._terms.soon(BUSY)
        answers = await asyncio.gather(*(self._ask(guest, until) for guest in asked))
        return {guest.key: found for guest, found in zip(asked, answers, strict=True) if found}

    async def tell(self, guests: Iterable[Guest]) -> None:
        """Ask, and report each that is busy, before anybody is touched."""
        self.begin(guests)
        if self._asking:
            await asyncio.wait(list(self._asking.values()))

    def begin(self, guests: Iterable[Guest]) -> None:
        """The same beside everything else; until `end`."""
        until = self._terms.soon(BUSY)
        for guest in guests:
            if self._hooks.listens(HOOK, guest):
                self._asking[guest.key] = self._loop.create_task(self._report(guest, until))

    def end(self, key: Key | None = None) -> None:
        """Ask no longer: about this guest, as something is going to be done with it, or about anybody."""
        for one in [key] if key else list(self._asking):
            if asking := self._asking.pop(one, None):
                asking.cancel()

    async def _report(self, guest: Guest, until: float) -> Sequence[str]:
        reasons = await self._ask(guest, until)
        if reasons:
            self._stream.problems([busy_problem(guest, reasons)])
        return reasons

    async def _ask(self, guest: Guest, until: float) -> Sequence[str]:
        async with self._places:
            fired = await self._hooks.fire(HOOK, guest, until=until, share=BUSY)
        return [reason for _, answer in fired.answers for reason in answer]
