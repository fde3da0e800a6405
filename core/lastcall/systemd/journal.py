"""The journal: every step of a run as an entry with fields, so that `journalctl LASTCALL_GUEST=db-1` works."""

import os
from pathlib import Path
from typing import Any

from lastcall.api.guests import Guest, Key, Outcome
from lastcall.api.results import FAILURES
from lastcall.errors import Severity
from lastcall.formats.quantities import format_duration
from lastcall.records.records import (
    AttemptEnded,
    GuestAsked,
    GuestEnded,
    GuestPlanned,
    HookBegun,
    HookEnded,
    HookSaid,
    PowerChanged,
    ProblemFound,
    Record,
    RunEnded,
    RunJoined,
    RunStarted,
)
from lastcall.report.narrator import Narrator
from lastcall.systemd.notify import send

SOCKET = Path("/run/systemd/journal/socket")
ERROR, WARNING, NOTICE, INFO, DEBUG = 3, 4, 5, 6, 7  # syslog(3)
# The journal takes an entry as one datagram; one that is too large is refused as a whole.
_LONGEST = 16_384  # bytes of one message; the run log has it whole
_BAD = frozenset({Outcome.FAILED, Outcome.UNKNOWN})
_DOUBTFUL = frozenset({Outcome.FORCED, Outcome.LEFT, Outcome.UNREADY})


class Journal:
    """A sink that writes to the journal. Entries that it does not take at once are lost to it, not to the run log."""

    def __init__(self, path: Path = SOCKET) -> None:
        self._path = path
        self._narrator = Narrator(verbose=True)
        self._guests: dict[Key, Guest] = {}
        self._run = self._kind = ""

    @classmethod
    def find(cls, path: Path = SOCKET) -> "Journal | None":
        """The journal of this host, where there is one."""
        return cls(path) if path.is_socket() else None

    def take(self, record: Record) -> None:
        """Write the record's entry, if it has one."""
        if isinstance(record, RunStarted):
            self._run = record.id
        if isinstance(record, GuestPlanned):
            self._guests[record.guest.key] = record.guest
        line = self._line(record)
        if line:
            self._send({"MESSAGE": line, "PRIORITY": str(priority(record)), **self._fields(record)})

    def say(self, line: str, level: int = NOTICE) -> None:
        """Write a line that belongs to no run."""
        self._send({"MESSAGE": line, "PRIORITY": str(level)})

    def _line(self, record: Record) -> str | None:
        match record:
            case RunStarted():
                self._kind = record.kind.value
                limit = "" if record.deadline is None else f", over within {format_duration(record.deadline)}"
                return f"{self._kind} ({record.reason.value}) begins{limit}"
            case RunJoined():
                return f"{self._kind} becomes a host stop ({record.reason.value})"
            case RunEnded():
                verdict = "as planned" if record.exit_code == 0 else "not everything as planned"
                return f"{self._kind} is over after {format_duration(round(record.at, 1))}: {verdict}"
            case _:
                return self._narrator.line(record)

    def _fields(self, record: Record) -> dict[str, str]:
        fields = {"LASTCALL_RUN": self._run, "LASTCALL_EVENT": type(record).__name__}
        key: Any = getattr(record, "guest", None)
        guest = key if isinstance(key, Guest) else self._guests.get(key)
        if guest:
            fields |= {"LASTCALL_GUEST": guest.name, "LASTCALL_UUID": guest.uuid, "LASTCALL_URI": guest.uri}
        match record:
            case HookBegun() | HookSaid():
                fields |= {"LASTCALL_HOOK": record.hook, "LASTCALL_PLUGIN": record.plugin}
            case HookEnded():
                fields |= {"LASTCALL_HOOK": record.record.hook, "LASTCALL_PLUGIN": record.record.plugin}
            case GuestAsked():
                fields["LASTCALL_METHOD"] = record.method
            case AttemptEnded():
                fields["LASTCALL_METHOD"] = record.attempt.method
            case GuestEnded():
                fields |= {"LASTCALL_OUTCOME": record.outcome.value, "LASTCALL_METHOD": record.method or ""}
            case _:
                pass
        return fields

    def _send(self, fields: dict[str, str]) -> None:
        fields |= {"SYSLOG_IDENTIFIER": "lastcall", "SYSLOG_PID": str(os.getpid())}
        send(str(self._path), b"".join(_field(name, value) for name, value in fields.items() if value))


def priority(record: Record) -> int:
    """How much it matters, as syslog counts."""
    match record:
        case ProblemFound():
            return ERROR if record.problem.severity is Severity.ERROR else WARNING
        case GuestEnded():
            return ERROR if record.outcome in _BAD else WARNING if record.outcome in _DOUBTFUL else INFO
        case HookEnded():
            return WARNING if record.record.result in FAILURES else DEBUG
        case AttemptEnded():
            return WARNING if record.attempt.result in FAILURES else DEBUG
        case RunEnded():
            return NOTICE if record.exit_code == 0 else WARNING
        case RunStarted() | RunJoined() | PowerChanged():
            return NOTICE
        case HookBegun():
            return DEBUG
        case _:
            return INFO


def _field(name: str, value: str) -> bytes:
    """`NAME=value`, or where the value has a line end: the name, a line end, its length in 8 bytes, the value."""
    data = value.encode(errors="replace")[:_LONGEST]
    if b"\n" not in data:
        return name.encode() + b"=" + data + b"\n"
    return name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
