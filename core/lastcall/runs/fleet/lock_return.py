"""The end of a restore: the lock of this host is given back where everybody is back, and it is said where not."""

from collections.abc import Iterable

from lastcall.api.guests import Outcome
from lastcall.api.results import GuestResult
from lastcall.config.settings import Settings
from lastcall.errors import LastcallError, Severity, in_words
from lastcall.persistence.fleet.held_lock import HeldLock
from lastcall.persistence.state import StateFile
from lastcall.records.stream import Stream
from lastcall.runs.fleet.giving_back import WhoIsBack, give_back_once_all_are_back
from lastcall.threads.workers import Workers
from lastcall.timing.budget import FLEET_LOCK
from lastcall.timing.terms import Terms

RELEASE = "`lastcall lock release` gives it back"


class LockReturn:
    """Gives it back within the run's time; what hinders it is a problem of the report."""

    def __init__(self, settings: Settings, stream: Stream, workers: Workers, terms: Terms) -> None:
        self._settings = settings
        self._stream, self._workers, self._terms = stream, workers, terms

    async def after(self, results: Iterable[GuestResult], state: StateFile, *, by_hand: bool, complete: bool) -> None:
        """Do it, if the restore whose results these are has come to that; see `WhoIsBack`."""
        unready = tuple(one.guest.name for one in results if one.outcome is Outcome.UNREADY)
        who = WhoIsBack(
            entries=tuple(state.entries.values()), previous_boot=state.previous_boot, unready=unready, by_hand=by_hand,
            complete=complete,
        )  # fmt: skip
        try:
            found = await self._workers.call(
                lambda: give_back_once_all_are_back(self._settings, who), timeout=self._terms.share(FLEET_LOCK)
            )
        except (LastcallError, OSError) as error:
            remedy = error.remedy if isinstance(error, LastcallError) and error.remedy else RELEASE
            self._stream.problem("fleet lock", "this host", f"it is not given back: {in_words(error)}", remedy)
            return
        if found:
            self._tell(*found)

    def _tell(self, held: HeldLock, kept: str) -> None:
        where = f"{held.group} of {held.url}"
        if kept:
            message = f"no other host of the group may reboot: the lock is kept ({kept})"
            self._stream.problem("fleet lock", where, message, f"{RELEASE} all the same", Severity.WARNING)
