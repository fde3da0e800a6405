"""What the watch of an outage touches the world with; tests put a world of their own in its place."""

from collections.abc import Sequence
from typing import Protocol

from lastcall.api.power import PowerPolicy, Supply


class OutageQuestions(Protocol):
    """What plugins say of the power."""

    async def policy(self) -> PowerPolicy:
        """What the site wants."""
        ...

    async def supplies(self) -> tuple[Supply, ...]:
        """What the UPSes say now; in bounded time."""
        ...


class CommandProcess(Protocol):
    """A command of lastcall as a process of its own."""

    async def wait(self) -> tuple[int, str]:
        """Its exit code and what it has printed, once it has ended."""
        ...

    def interrupt(self) -> None:
        """Tell it to begin nothing more: the first time it waits for what it has begun, the second time it ends."""
        ...


class WatchedHost(Protocol):
    """What the watch knows of the host, and does to it."""

    async def stops(self) -> bool:
        """Whether the host is going down."""
        ...

    async def shed(self) -> Sequence[str] | None:
        """The names of those who were shed and are to come back; None where that cannot be known."""
        ...

    async def busy(self) -> bool:
        """Whether a shutdown is under way, which may still put somebody on that list."""
        ...

    async def tell_back(self) -> bool:
        """Tell a run that sheds guests that the mains are back; whether it has heard."""
        ...

    async def start(self, *words: str) -> CommandProcess:
        """Start a command of lastcall. Raises OSError."""
        ...
