"""What a check has found, told to plugins: with how the next host stop would go, and how the last runs went."""

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from lastcall.api.guests import Reason, RunKind
from lastcall.api.results import CheckFindings, Report, StopForecast
from lastcall.cli.dry_run.look import look_at_plan
from lastcall.cli.invocation import Invocation
from lastcall.errors import LastcallError
from lastcall.persistence.boot_stamp import BootStamp
from lastcall.planning.selection import EVERYBODY
from lastcall.planning.worst_case import Outlook
from lastcall.report.run_history import past_runs
from lastcall.report.unseen import SeenRuns
from lastcall.runs.assembly import Parts, RunRequest
from lastcall.runs.loading import Loaded

_LOOKED_AT = 50  # logs; who restores by hand fifty times between two host stops does not ask this for the last one
Assembled = Callable[[Loaded, RunRequest], Parts]


async def tell_findings(parts: Parts, loaded: Loaded, assembled: Assembled) -> None:
    """Fire `post_check`, where a plugin listens; what fails in it goes to the stream. `assembled` makes the parts of
    the run that is looked ahead to.
    """
    if not parts.hooks.listens("post_check"):
        return
    paths = loaded.settings.paths
    findings = CheckFindings(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        problems=parts.stream.story.report().problems,
        on_duty=BootStamp(paths.run).on,
        unseen=_unseen(paths.state),
        forecast=await _look_ahead(loaded, assembled),
        runs=tuple(_last_runs(paths.state / "runs")),
    )
    fired = await parts.hooks.fire("post_check", findings=findings)
    parts.stream.problems(fired.problems())


async def _look_ahead(loaded: Loaded, assembled: Assembled) -> StopForecast | None:
    """Plan the stop of this host. In parts of its own: its milestones and its problems are not those of the check."""
    why = Reason.POWEROFF
    parts = assembled(loaded.for_reason(why), RunRequest(kind=RunKind.SHUTDOWN, reason=why, rehearsal=True))
    try:
        seen = await look_at_plan(parts, EVERYBODY, Invocation())
    except LastcallError:
        return None
    # Without a connection nobody would have to stop, and the plan would look the better the less is known.
    return _forecast(seen.outlook, len(seen.lines)) if parts.connections.all_listed else None


def _forecast(outlook: Outlook, guests: int) -> StopForecast:
    return StopForecast(
        guests=guests,
        unknown=len(outlook.unknown),
        usual=round(outlook.usual_end, 2),
        worst=round(outlook.worst_end, 2),
        last_resort=_known(outlook.deadline.last_resort),
        deadline=_known(outlook.deadline.end),
    )


def _known(moment: float) -> float | None:
    return round(moment, 2) if math.isfinite(moment) else None


def _unseen(state: Path) -> int:
    try:
        return len(SeenRuns(state).unseen())
    except OSError:  # the check says itself what cannot be read
        return 0


def _last_runs(folder: Path) -> Iterator[Report]:
    wanted = {RunKind.SHUTDOWN, RunKind.RESTORE}
    try:
        for run in islice(past_runs(folder), _LOOKED_AT):
            if run.complete and run.report.run.kind in wanted:
                wanted.remove(run.report.run.kind)
                yield run.report
            if not wanted:
                return
    except OSError:
        return
