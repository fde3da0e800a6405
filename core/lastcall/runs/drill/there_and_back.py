"""A drill's two runs: the guests go as by hand, and those that went are brought back."""

import time
from collections.abc import Callable, Sequence
from functools import partial

from lastcall.api.guests import Ended, Outcome, Reason, RunKind
from lastcall.api.results import GuestResult, Report
from lastcall.errors import LastcallError, Problem
from lastcall.formats.values import value
from lastcall.planning.selection import TheseGuests
from lastcall.records.records import Sink
from lastcall.runs.assembly.stories import build_restore, build_shutdown
from lastcall.runs.loading import Loaded
from lastcall.runs.request import RunRequest
from lastcall.runs.runner import Execution, perform
from lastcall.threads.held_signals import HeldSignals

Sinks = Callable[[], Sequence[tuple[str, Sink]]]


@value
class ThereAndBack:
    """The reports of both; `restored` is None where nobody was brought back, and `problem` says why, if that is one."""

    stopped: Report
    restored: Report | None = None
    problem: Problem | None = None


class Drill:
    """Stops and brings back. `sinks` makes those of one run; `stopping` and `reboots` are as in `RunRequest`.

    `tell` learns what was stopped before anybody is brought back: nobody else knows, should that be cut off.
    """

    def __init__(
        self,
        loaded: Loaded,
        sinks: Sinks,
        signals: HeldSignals,
        stopping: Callable[[], Reason | None],
        reboots: Callable[[], None],
        tell: Callable[[Report], None],
    ) -> None:
        self._loaded, self._sinks, self._signals = loaded, sinks, signals
        self._stopping, self._reboots, self._tell = stopping, reboots, tell

    def perform(self, chosen: TheseGuests, started: float, *, yes_neighbours: bool = False) -> ThereAndBack:
        """Do both. `started`: when the first one's time begins, on the monotonic clock. `yes_neighbours`: see
        `build_shutdown`.

        Raises what `perform` raises, before any guest is touched; not once the first guest may be off.
        """
        build = partial(build_shutdown, chosen=chosen, yes_neighbours=yes_neighbours)
        stopped = self._run(RunKind.SHUTDOWN, started, build)
        gone = TheseGuests(keys=frozenset(one.guest.key for one in stopped.guests if _went(one)))
        if not gone.keys:
            return ThereAndBack(stopped)
        # What a host that goes down has begun to start is stopped with it, unless it is overlooked.
        if not stopped.run.reason.voluntary or self._stopping():
            return ThereAndBack(stopped, problem=_stays_off("the host stops meanwhile", "they come back with it"))
        self._tell(stopped)
        try:
            restore = partial(build_restore, chosen=gone, insists=True)
            back = self._run(RunKind.RESTORE, time.monotonic(), restore)
        except LastcallError as error:
            return ThereAndBack(stopped, problem=_stays_off(str(error), "`lastcall restore`"))
        return ThereAndBack(stopped, back)

    def _run(self, kind: RunKind, started: float, build: Callable[..., Execution]) -> Report:
        request = RunRequest(
            kind=kind, reason=Reason.DRILL, sinks=self._sinks(), stopping=self._stopping, reboots=self._reboots,
            started=started,
        )  # fmt: skip
        return perform(self._loaded, request, build, self._signals)


def _went(result: GuestResult) -> bool:
    """Whether it is off, or may be: then the restore finds out."""
    off = result.ended is not None and result.ended is not Ended.MIGRATED
    return off or result.outcome is Outcome.UNKNOWN


def _stays_off(why: str, remedy: str) -> Problem:
    message = f"nobody was brought back: {why}; those that were stopped are on the list of guests to restore"
    return Problem(what="drill", where="this host", message=message, remedy=remedy)
