"""Who sleeps, as this run knows it and as it is on disk, in bounded time."""

from typing import TYPE_CHECKING

from lastcall.persistence.power.sleepers import Sleeper, SleeperList
from lastcall.threads.workers import Workers
from lastcall.timing.budget import WRITING
from lastcall.timing.terms import Terms

if TYPE_CHECKING:
    from lastcall.api.guests import Key


class SleepingGuests:
    """The list of sleepers, kept by workers: no disk holds up a sleep."""

    def __init__(self, listed: SleeperList, workers: Workers, terms: Terms) -> None:
        self._listed, self._workers, self._terms = listed, workers, terms
        self.known: dict[Key, Sleeper] = {}

    @property
    def where(self) -> str:
        """The file."""
        return str(self._listed.path)

    async def recall(self) -> None:
        """Learn who sleeps by what is on disk. Raises TimeoutError."""
        self.known = await self._workers.call(self._listed.read, timeout=self._terms.share(WRITING))

    async def keep(self) -> None:
        """Bring it to disk. Raises OSError or TimeoutError."""
        sleepers = tuple(self.known.values())
        await self._workers.call(lambda: self._listed.write(sleepers), timeout=self._terms.share(WRITING))
