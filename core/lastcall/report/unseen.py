"""Runs in which guests were forced off, left or failed, until somebody says that they were seen."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, cast

from lastcall.api.guests import Outcome, Reason, RunKind
from lastcall.api.naming.guest_names import GuestNames
from lastcall.api.results import Report
from lastcall.errors import ExitCode
from lastcall.formats.bounded_text import NAME_LIMIT, bounded, first_names
from lastcall.formats.decoding import from_json
from lastcall.formats.json_text import to_json
from lastcall.formats.reading import read_bytes, read_end, read_text
from lastcall.formats.values import value
from lastcall.persistence.files import READERS, write_whole
from lastcall.records.report_builder import went_as_planned
from lastcall.records.run_log import LARGEST, is_under_way
from lastcall.report.run_history import local_time, logs_in, past_run

VERSION = 1
_BAD = (Outcome.FORCED, Outcome.LEFT, Outcome.FAILED, Outcome.UNKNOWN)
# Most runs are good ones. To read the records of a hundred of them takes longer than all else that `status` does.
_SIGNS = (*(f'"outcome":"{one.value}"'.encode() for one in _BAD),)
_END = b'{"type":"RunEnded",'
_LAST_LINE = 4096  # bytes; it has a few dozen
_SHOWN = 5
MOST = 10  # runs; to read one costs some milliseconds, and nobody reads more lines


@value(kw_only=True)
class BadGuest:
    """A guest that was forced off, left running, could not be had, or of which nobody knows."""

    name: str
    uuid: str
    uri: str
    outcome: Outcome


@value(kw_only=True)
class BadRun:
    """A run with such guests. Not `complete`: it was cut off, and they had not ended by then."""

    id: str
    kind: RunKind
    reason: Reason
    started: str
    complete: bool
    guests: tuple[BadGuest, ...]


@value
class UnseenRun:
    """Such a run as it is told: `names` are those of all its guests, of which two may share one, and one went well."""

    run: BadRun
    names: GuestNames

    @property
    def line(self) -> str:
        """`shutdown (poweroff) of 2026-11-26 03:10: 2 forced (db-1, web-2), 1 left (mail)`; names are as they are."""
        run, told = self.run, list[str]()
        for outcome in _BAD:
            names = [self._called(one) for one in run.guests if one.outcome is outcome]
            if names:
                told.append(f"{len(names)} {outcome.value} ({first_names(names, _SHOWN)})")
        cut = "" if run.complete else ", which did not come to its end"
        when = f"{local_time(run.started):%Y-%m-%d %H:%M}"
        return f"{run.kind.value} ({run.reason.value}) of {when}{cut}: {', '.join(told)}"

    def _called(self, guest: BadGuest) -> str:
        return bounded(guest.name, NAME_LIMIT) + self.names.place(guest)


@value
class SeenBy:
    """Who has said when (RFC 3339) that everything up to then was seen."""

    by: str
    at: str


def bad_guests(report: Report) -> tuple[BadGuest, ...]:
    """The guests that somebody has to look after. One that was to be forced off by its first rung is none of them."""
    return tuple(
        BadGuest(name=one.name, uuid=one.uuid, uri=one.uri, outcome=bad[-1])
        for one in report.guests
        if (bad := [stop.outcome for stop in one.stops if stop.outcome in _BAD and not went_as_planned(stop)])
    )


class SeenRuns:
    """`<paths.state>/seen.json` (mode 0600, or 0640 for readers): the runs that were seen, and who said so."""

    def __init__(self, state: Path) -> None:
        self.path, self._logs = state / "seen.json", state / "runs"

    def unseen(self) -> list[UnseenRun]:
        """The newest `MOST` of the runs, newest first. Raises PermissionError."""
        seen = self._ids()
        bad = (_bad_run(log) for log in logs_in(self._logs) if log.stem not in seen)
        return list(islice((run for run in bad if run), MOST))

    def last(self) -> SeenBy | None:
        """Who said so last; nobody where the file cannot be understood. Raises PermissionError."""
        content = self._content()
        by, at = content.get("by"), content.get("at")
        return SeenBy(by, at) if isinstance(by, str) and isinstance(at, str) else None

    def acknowledge(self, by: str) -> tuple[SeenBy, list[UnseenRun]]:
        """Note that everything up to now was seen; returns that, and what was unseen. Raises OSError.

        A run that is under way is not among it.
        """
        # First: what ends between the two is told once more, and not lost.
        over = [log.stem for log in logs_in(self._logs) if not is_under_way(log)]
        unseen, seen = self.unseen(), SeenBy(by, datetime.now(UTC).isoformat(timespec="seconds"))
        # By their ids, as the clock may have been set back since; those whose log is gone need none.
        write_whole(self.path, to_json({"version": VERSION, "by": seen.by, "at": seen.at, "runs": over}), mode=READERS)
        return seen, unseen

    def _ids(self) -> frozenset[str]:
        runs = self._content().get("runs")
        return frozenset(map(str, cast("list[object]", runs))) if isinstance(runs, list) else frozenset()

    def _content(self) -> dict[str, Any]:
        try:
            content: Any = from_json(read_text(self.path, LARGEST))
        except PermissionError:
            raise
        except (OSError, ValueError):
            return {}  # everything is told once more
        found = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
        return found if found.get("version") == VERSION else {}


def _has_ended(data: bytes) -> bool:
    # Looked for in place: the log of 5000 guests has ten megabytes, which each part of it would have once more.
    end = max(0, data.rfind(b"\n"))
    return data.startswith(_END, data.rfind(b"\n", 0, end) + 1, end)


def _ended_as_planned(log: Path) -> bool:
    """What its last line says, as that of most does: then none of its guests can be one of these."""
    end = read_end(log, _LAST_LINE)
    if not _has_ended(end):
        return False
    last = end[end.rfind(_END) : end.rfind(b"\n")]  # not what was torn behind it
    try:
        return from_json(last).get("exit_code") == ExitCode.OK
    except ValueError:
        return False  # the whole log is read


def _bad_run(log: Path) -> UnseenRun | None:
    """What is bad about a run, if anything. Raises PermissionError."""
    try:
        if _ended_as_planned(log):
            return None
        under_way = is_under_way(log)  # first: what ends between the two has ended
        data = read_bytes(log, LARGEST)
        if not any(sign in data for sign in _SIGNS) if _has_ended(data) else under_way:
            return None
        run = past_run(log)
    except PermissionError:
        raise
    except (OSError, ValueError, LookupError):
        return None  # nobody can tell what it was
    facts, guests = run.report.run, bad_guests(run.report)
    if not guests:
        return None
    bad = BadRun(
        id=facts.id, kind=facts.kind, reason=facts.reason, started=facts.started, complete=run.complete, guests=guests
    )
    return UnseenRun(bad, GuestNames(run.report.guests))


def unseen_at_login(state: Path) -> str:
    """The words for whoever logs in, by what can be read."""
    try:
        return login_words(SeenRuns(state).unseen())
    except OSError:  # whoever cannot read the logs cannot write the line either
        return ""


def login_words(runs: Sequence[UnseenRun]) -> str:
    """The same of the newest of them, for whoever logs in; nothing where there is none."""
    if not runs:
        return ""
    more = "; and earlier runs like it" if len(runs) > 1 else ""
    return f"{runs[0].line}{more}. `lastcall report --ack` once it is seen."
