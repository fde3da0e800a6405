"""Runs that are over, or under way, told from their logs."""

import os
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path

from lastcall.api.guests import Key, Outcome, RunKind
from lastcall.api.results import Report
from lastcall.formats.layout.columns import paragraph
from lastcall.formats.layout.screen import PLAIN, Screen, Tone
from lastcall.formats.reading import Unreadable
from lastcall.formats.values import value
from lastcall.records.records import RunEnded
from lastcall.records.report_builder import ReportBuilder
from lastcall.records.run_log import is_under_way, read_log
from lastcall.report.text import as_text

# The time of a guest that was forced off is that of its ladder, not its own.
_WENT_WELL = frozenset({Outcome.STOPPED, Outcome.SAVED, Outcome.MOVED, Outcome.STARTED, Outcome.RESUMED})


@value
class PastRun:
    """One of them. Not `complete`: it was killed, or is still `under_way`."""

    report: Report
    complete: bool
    under_way: bool = False

    @property
    def cut(self) -> str:
        """Why it is not complete."""
        return "is under way" if self.under_way else "did not come to its end: it was killed"


def past_runs(folder: Path, tell: Callable[[str], None] = lambda _: None) -> Iterator[PastRun]:
    """The runs whose logs are in this folder, newest first; logs that cannot be understood are passed over.

    `tell` is told of what is no log at all. Raises PermissionError.
    """
    for path in logs_in(folder):
        try:
            yield past_run(path)
        # Passed over like a broken log, it would look as if nothing had ever been logged.
        except PermissionError:
            raise
        except (OSError, ValueError, LookupError) as error:
            if isinstance(error, Unreadable):
                tell(f"{error}: passed over; {error.remedy}")


def logs_in(folder: Path) -> list[Path]:
    """The logs of a folder, that of the newest run first. Raises PermissionError."""
    try:
        names = os.listdir(folder)  # noqa: PTH208  `glob` finds nothing in a folder that may not be read
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted((folder / name for name in names if name.endswith(".jsonl")), key=_began, reverse=True)


def past_run(log: Path) -> PastRun:
    """The run of a log; raises OSError, or ValueError or LookupError where it cannot be understood."""
    under_way = is_under_way(log)  # first: one that ends between the two was not killed
    records = list(read_log(log))
    report = ReportBuilder(records).report()
    local_time(report.run.started)
    complete = isinstance(records[-1], RunEnded)
    return PastRun(report, complete, under_way and not complete)


def local_time(started: str) -> datetime:
    """When a run began, by this host's clock; raises ValueError for what is no such time."""
    try:
        return datetime.fromisoformat(started).astimezone()
    except OverflowError:  # the first or last hours that a calendar has
        raise ValueError(f"no time: {started}") from None


def _began(log: Path) -> tuple[str, int]:
    """A run's id begins with the second in which it began; of two in one second the later one ended later."""
    return log.name.partition("-")[0], log.lstat().st_mtime_ns


def latest(runs: Iterator[PastRun]) -> list[PastRun]:
    """The last shutdown, and the last restore after it that had something to do."""
    restore: PastRun | None = None
    for run in runs:
        if run.report.run.kind is RunKind.SHUTDOWN:
            return [run, *([restore] if restore else [])]
        # One that had nothing to do must not hide the one before, which brought the guests back.
        if restore is None or not restore.report.guests:
            restore = run
    return [restore] if restore else []


def usual_times(run: PastRun, earlier: Iterable[PastRun]) -> dict[Key, float]:
    """How long each guest takes as a rule, in seconds: the median of earlier runs of the same kind that went well."""
    from statistics import median  # here: of all that tell of runs only this one reckons

    times: dict[Key, list[float]] = {}
    for one in earlier:
        if one.report.run.kind is run.report.run.kind:
            for guest in one.report.guests:
                if guest.outcome in _WENT_WELL and guest.attempts:
                    times.setdefault(guest.guest.key, []).append(guest.duration)
    return {key: median(told) for key, told in times.items()}


def as_story(run: PastRun, screen: Screen = PLAIN, *, traces: bool = False) -> str:
    """The run's report under a heading that says when and why; with `traces` the tracebacks of what failed."""
    facts = run.report.run
    began = local_time(facts.started)
    heading = f"{facts.kind.value} ({facts.reason.value}) of {facts.host}, {began:%Y-%m-%d %H:%M:%S}"
    lines = [*paragraph(heading, screen, tone=Tone.HEADING), as_text(run.report, screen, traces=traces)]
    if not run.complete:
        lines += paragraph(f"it {run.cut}", screen, sign="!", tone=Tone.WARNING)
    return "\n".join(lines)
