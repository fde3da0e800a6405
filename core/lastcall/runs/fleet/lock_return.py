"""The end of a restore: the lock of this host is given back where everybody is back, and it is said where not."""

from collections.abc import Container, Iterable

from lastcall.api.guests import Outcome
from lastcall.api.results import GuestResult
from lastcall.config.settings import Settings
from lastcall.errors import LastcallError, Severity, in_words
from lastcall.persistence.fleet.held_lock import HeldLock, HeldLockFile
from lastcall.persistence.state import StateFile
from lastcall.records.stream import Stream
from lastcall.runs.fleet.giving_back import WhoIsBack, give_back_once_all_are_back
from lastcall.threads.workers import Workers
from lastcall.timing.budget import FLEET_LOCK, LOCK_NOTE
from lastcall.timing.terms import Terms

RELEASE = "`lastcall lock release` gives it back"
READY = frozenset({Outcome.STARTED, Outcome.RESUMED, Outcome.MOVED})  # PRESENT: it may be paused


class LockReturn:
    """Gives it back within the run's time; what hinders it is a problem of the report."""

    def __init__(self, settings: Settings, stream: Stream, workers: Workers, terms: Terms) -> None:
        self._settings = settings
        self._stream, self._workers, self._terms = stream, workers, terms

    async def after(
        self, results: Iterable[GuestResult], state: StateFile, *, everybody_by_hand: bool, complete: bool
    ) -> None:
        """Do it, if the restore whose results these are has come to that; see `WhoIsBack`."""
        results = tuple(results)
        who = WhoIsBack(
            entries=tuple(state.entries.values()),
            previous_boot=state.previous_boot,
            unready=_names(results, {Outcome.UNREADY}),
            ready=_names(results, READY),
            everybody_by_hand=everybody_by_hand,
            complete=complete,
        )
        limit = self._terms.share(FLEET_LOCK)
        try:
            if not await self._is_held(max(limit, LOCK_NOTE)):
                return
            found = await self._workers.call(lambda: give_back_once_all_are_back(self._settings, who), timeout=limit)
        except (LastcallError, OSError) as error:
            remedy = error.remedy if isinstance(error, LastcallError) and error.remedy else RELEASE
            self._stream.problem("fleet lock", "this host", f"it is not given back: {in_words(error)}", remedy)
            return
        if found:
            self._tell(*found)

    async def _is_held(self, limit: float) -> bool:
        """Whether it is held since an earlier boot, as far as the note of it can be read in time."""
        try:
            held = await self._workers.call(HeldLockFile(self._settings.paths.state).read, timeout=limit)
        except TimeoutError:
            return False  # a disk that hangs says nothing of a lock
        return held is not None and not held.is_of_this_boot

    def _tell(self, held: HeldLock, kept: str) -> None:
        where = f"{held.group} of {held.url}"
        if kept:
            message = f"no other host of the group may reboot: the lock is kept ({kept})"
            self._stream.problem("fleet lock", where, message, f"{RELEASE} all the same", Severity.WARNING)


def _names(results: Iterable[GuestResult], outcomes: Container[Outcome]) -> tuple[str, ...]:
    return tuple(one.guest.name for one in results if one.outcome in outcomes)
