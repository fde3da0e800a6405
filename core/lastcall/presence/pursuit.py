"""What could not be had at the start of a host stop, tried on until the last resort: what it brings comes late."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

from lastcall.errors import LastcallError, Severity, in_words
from lastcall.timing.terms import Terms

RETRY = 0.5  # seconds between two attempts
WAITING = ("waiting", Severity.WARNING)  # what is said of a connection as long as it is tried on


class Pursuit:
    """Tries connections, and lists of guests, again and again. `given_up` is told what was never had, and why at last.

    Loop thread only.
    """

    def __init__(self, terms: Terms, given_up: Callable[[str, str], None]) -> None:
        self._terms = terms
        self._given_up = given_up
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._missing: dict[str, str] = {}
        self._late: list[str] = []
        self._tell: Callable[[str], None] = self._late.append

    @property
    def needed(self) -> bool:
        """Whether something is still tried that the run cannot be complete without."""
        return bool(self._missing)

    def begin(
        self, what: str, why: str, attempt: Callable[[], Awaitable[str]], *, needed: bool, anew: bool = False
    ) -> None:
        """Try on, as `what` could not be had: `why`. An attempt returns the URI that is there now, or raises.

        `needed`: the run has to wait for it. `anew`: what was tried so far for it is of no use any more.
        """
        if what in self._tasks and not anew:
            return
        if what in self._tasks:
            self._tasks[what].cancel()
        if needed:
            self._missing[what] = why
        self._tasks[what] = asyncio.get_running_loop().create_task(self._try(what, attempt))

    @contextmanager
    def latecomers(self, tell: Callable[[str], None]) -> Generator[None]:
        """Have `tell` called with the URI of all that is had from now on, and of what was had before.

        Whatever is missing at the end is given up.
        """
        before, self._tell = self._late, tell
        for uri in before:
            tell(uri)
        try:
            yield
        finally:
            for task in self._tasks.values():
                task.cancel()
            for what, why in self._missing.items():
                self._given_up(what, why)
            self._missing.clear()

    async def _try(self, what: str, attempt: Callable[[], Awaitable[str]]) -> None:
        # Two guests ran on, and 54 of 60 s were left, when libvirtd came back six seconds after it was given up.
        while self._terms.clock() < self._terms.deadline.last_resort:
            await asyncio.sleep(RETRY)
            try:
                uri = await attempt()
            except (LastcallError, TimeoutError) as error:
                if what in self._missing:
                    self._missing[what] = in_words(error)
            else:
                self._missing.pop(what, None)
                del self._tasks[what]
                self._tell(uri)
                return
