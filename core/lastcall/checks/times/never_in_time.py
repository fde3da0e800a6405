"""Guests that never went off by themselves in earlier runs: tonight they are forced off, too."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from lastcall.api.guests import Guest, Key, Outcome, RunKind
from lastcall.api.results import GuestResult
from lastcall.errors import Problem, Severity
from lastcall.formats.quantities import format_duration
from lastcall.records.report_builder import as_planned
from lastcall.report.run_history import past_runs
from lastcall.threads.box import Box

RUNS = 20  # the newest logs that are read; each takes some milliseconds
PATIENCE = 3.0  # seconds for the disk to give them
_LATE = frozenset({Outcome.FORCED, Outcome.LEFT})


def never_in_time(state: Path, guests: Iterable[Guest]) -> Iterator[Problem]:
    """A warning for each of these guests that was asked in earlier runs, and in none of them went by itself."""
    try:
        found = Box().call(lambda: _asked_in(state / "runs"), timeout=PATIENCE)
    except (OSError, TimeoutError):
        return  # whoever may not read them is told of the folders by another check
    for guest in guests:
        results = found.get(guest.key, [])
        if results and all(_was_late(one) for one in results):
            yield _problem(guest, results)


def _asked_in(folder: Path) -> dict[Key, list[GuestResult]]:
    """What became of each guest whenever it was asked, newest first."""
    found = defaultdict[Key, list[GuestResult]](list)
    for run in islice(past_runs(folder), RUNS):
        for one in run.report.guests if run.report.run.kind is RunKind.SHUTDOWN else ():
            if one.asked is not None:
                found[one.guest.key].append(one)
    return found


def _was_late(result: GuestResult) -> bool:
    return result.outcome in _LATE and not as_planned(result)


def _problem(guest: Guest, results: list[GuestResult]) -> Problem:
    counts = Counter(one.outcome.value for one in results)
    told = ", ".join(f"{count} times {outcome}" if count > 1 else outcome for outcome, count in counts.items())
    runs = "the only run" if len(results) == 1 else f"any of {len(results)} runs"
    longest = format_duration(round(max(one.duration for one in results), 1))
    return Problem(
        what="time", where=guest.name,
        message=f"did not go off by itself in {runs} that asked it: {told}, after {longest}",
        remedy=f"`lastcall config guest {guest.name}` shows its ladder: more time, or a rung that it hears",
        severity=Severity.WARNING,
    )  # fmt: skip
