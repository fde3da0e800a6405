"""One command of lastcall at a time: who is sent, who has come back, and who is told to hurry."""

import asyncio
from collections.abc import Callable

from lastcall.cli.outage.ports import CommandProcess, WatchedHost

INSIST = 10.0  # seconds after which who was told to end is told once more


class Errand:
    """The command that is under way, if any. `wake` is called when it has ended."""

    def __init__(self, host: WatchedHost, wake: Callable[[], None]) -> None:
        self._host, self._wake = host, wake
        self._process: CommandProcess | None = None
        self._ended: asyncio.Task[tuple[int, str]] | None = None
        self._interrupted: float | None = None  # when, on the loop's clock
        self._insisted = False
        self.words: tuple[str, ...] = ()
        self.is_told = False

    @property
    def under_way(self) -> bool:
        """Whether somebody was sent whose end nobody has heard of yet."""
        return self._ended is not None

    async def send(self, *words: str) -> None:
        """Start a command. Raises OSError."""
        self._process = await self._host.start(*words)
        self.words, self.is_told, self._interrupted, self._insisted = words, False, None, False
        self._ended = asyncio.get_running_loop().create_task(self._process.wait())
        self._ended.add_done_callback(lambda _: self._wake())

    def result(self) -> tuple[int, str] | None:
        """Exit code and output of one that has ended; told once."""
        if self._ended is None or not self._ended.done():
            return None
        ended, self._ended, self._process = self._ended, None, None
        return ended.result()

    def note_told(self) -> None:
        """It has heard from somebody else that it has to begin nothing more."""
        self.is_told = True

    def interrupt(self) -> None:
        """Have it begin nothing more, and wait for what it has begun."""
        self.note_told()
        if self._process and self._interrupted is None:
            self._interrupted = asyncio.get_running_loop().time()
            self._process.interrupt()

    def insist(self) -> None:
        """The same; told so INSIST seconds ago, it waits for nothing any more."""
        self.interrupt()
        since = asyncio.get_running_loop().time() - (self._interrupted or 0.0)
        if self._process and since >= INSIST and not self._insisted:
            self._insisted = True
            self._process.interrupt()

    async def see_off(self, *, tell: bool) -> None:
        """Wait until it has ended; `tell`: it is told to, and once more after INSIST seconds."""
        if self._ended is None:
            return
        if tell:
            self.interrupt()
            await asyncio.wait([self._ended], timeout=INSIST)
            if self._process and not self._ended.done():
                self._process.interrupt()
        await asyncio.wait([self._ended])
