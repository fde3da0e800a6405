"""Which of the runs that are over somebody means: one by its name, or those that fit."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path

from lastcall.api.guests import Reason, RunKind
from lastcall.api.matching import is_like
from lastcall.api.results import GuestResult
from lastcall.errors import UsageError
from lastcall.formats.nearest import did_you_mean
from lastcall.formats.values import value
from lastcall.report.run_history import PastRun, local_time, logs_in, past_run, past_runs

_SHOWN_BY = "`lastcall runs` shows them"
_COUNTED = 3  # digits at most of a number that counts back; an id begins with the four of its year
_AMBIGUOUS = 3  # ids that are named where several begin like the word
_WILD = frozenset("*?[")


def named_run(folder: Path, word: str, tell: Callable[[str], None]) -> PastRun:
    """The run with this id, or whose id alone begins so; by a number the last one (1), the one before (2), …

    Raises UsageError where there is none or are several, and PermissionError.
    """
    if word.isascii() and word.isdecimal() and len(word) <= _COUNTED:
        found = list(islice(past_runs(folder, tell), max(0, int(word) - 1), int(word)))
        if not found:
            raise UsageError(f"there is no log of the run {word}, counted back from the last one", _SHOWN_BY)
        return found[0]
    ids = [path.stem for path in logs_in(folder)]
    close = [word] if word in ids else sorted((one for one in ids if word and one.startswith(word)), reverse=True)
    if not close:
        raise UsageError(f"there is no log of a run {word!r}{did_you_mean(word, ids)}", _SHOWN_BY)
    if len(close) > 1:
        some = ", ".join(close[:_AMBIGUOUS]) + (", …" if len(close) > _AMBIGUOUS else "")
        raise UsageError(f"{len(close)} runs begin with {word!r}: {some}", "write more of the id")
    try:
        return past_run(folder / f"{close[0]}.jsonl")
    except PermissionError:
        raise
    except (OSError, ValueError, LookupError) as error:
        raise UsageError(f"the log of the run {close[0]} cannot be understood: {error}") from None


@value(kw_only=True)
class RunFilter:
    """Runs that fit everything that is given. `guests`: names, UUIDs or globs, of which one was in the run."""

    kind: RunKind | None = None
    reason: Reason | None = None
    since: datetime | None = None
    failed: bool = False
    guests: tuple[str, ...] = ()

    def among(self, runs: Iterable[PastRun]) -> Iterator[PastRun]:
        """Those that fit. Raises UsageError, at the end, where no run at all had a guest of a name that was given."""
        unknown, seen = {word for word in self.guests if not _WILD & set(word)}, set[str]()
        for run in runs:
            guests = run.report.guests
            seen |= {guest.name for guest in guests} if unknown else set()
            unknown = {word for word in unknown if not any(_is_called(guest, word) for guest in guests)}
            if self._covers(run):
                yield run
        for word in sorted(unknown):
            raise UsageError(f"no logged run had a guest called {word!r}{did_you_mean(word, sorted(seen))}")

    def _covers(self, run: PastRun) -> bool:
        facts, guests = run.report.run, run.report.guests
        return (
            self.kind in {None, facts.kind}
            and self.reason in {None, facts.reason}
            and (self.since is None or local_time(facts.started) >= self.since)
            and (not self.failed or facts.exit_code != 0 or not run.complete)
            and (not self.guests or any(_is_called(guest, word) for guest in guests for word in self.guests))
        )


def _is_called(guest: GuestResult, word: str) -> bool:
    return guest.name == word or guest.uuid == word.lower() or is_like(guest.name, word)
