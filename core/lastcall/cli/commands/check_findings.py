"""What a check has found, told to plugins: with how the next host stop would go, and how the last runs went."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from lastcall.api.guests import RunKind
from lastcall.api.results import CheckFindings, Report
from lastcall.cli.dry_run.next_stop import Assembled, foresee_next_stop
from lastcall.persistence.boot_stamp import BootStamp
from lastcall.report.run_history import past_runs
from lastcall.report.unseen import SeenRuns
from lastcall.runs.assembly.parts import Parts
from lastcall.runs.loading import Loaded

_LOOKED_AT = 50  # logs; who restores by hand fifty times between two host stops does not ask this for the last one


async def tell_findings(parts: Parts, loaded: Loaded, assembled: Assembled) -> None:
    """Look ahead to the next host stop, for `status`, say what speaks against its times, and fire `post_check`, where a
    plugin listens; what fails in it goes to the stream. `assembled` makes the parts of the run that is looked ahead to.
    """
    ahead = await foresee_next_stop(loaded, assembled)
    parts.stream.problems(ahead.unfit if ahead else ())
    if not parts.hooks.listens("post_check"):
        return
    paths = loaded.settings.paths
    findings = CheckFindings(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        problems=parts.stream.story.report().problems,
        on_duty=BootStamp(paths.run).on,
        unseen=_unseen(paths.state),
        forecast=ahead and ahead.outlook.in_short,
        runs=tuple(_last_runs(paths.state / "runs")),
    )
    fired = await parts.hooks.fire("post_check", findings=findings)
    for plugin, found in fired.answers:
        parts.stream.problems(found, source=plugin)
    parts.stream.problems(fired.problems())


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
