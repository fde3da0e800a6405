"""A run as it goes on, told in lines: what matters of each record, for people, the console and the journal."""

from collections.abc import Iterator

from lastcall.api.guests import Key
from lastcall.api.naming.guest_names import GuestNames
from lastcall.api.results import FAILURES
from lastcall.formats.visible_text import page
from lastcall.persistence.power.awaited_charge import charge_words
from lastcall.records.records import (
    AttemptEnded,
    ChargeAwaited,
    GuestAsked,
    GuestEnded,
    GuestHeld,
    GuestPlanned,
    HookBegun,
    HookEnded,
    HookSaid,
    PowerChanged,
    ProblemFound,
    Record,
)
from lastcall.report.text import attempt_words, hook_words, mains_words, moved_words, problem_line, trace_lines


class Narrator:
    """Turns records into lines; `verbose` tells of hooks and every request as well, `traces` of tracebacks."""

    def __init__(self, *, verbose: bool = False, traces: bool = False) -> None:
        self._verbose, self._traces = verbose, traces
        self._names = GuestNames()

    def line(self, record: Record) -> str | None:
        """The record's line, if it has one; a problem's remedy and a traceback are lines more."""
        if isinstance(record, ProblemFound):
            return problem_line(record.problem)
        line = self._line(record)
        return line and page([line, *self._trace(record)])

    def _trace(self, record: Record) -> Iterator[str]:
        match record:
            case HookEnded() if self._traces:
                yield from trace_lines(record.record.traceback)
            case AttemptEnded() if self._traces:
                yield from trace_lines(record.attempt.traceback)
            case _:
                return

    def _line(self, record: Record) -> str | None:
        match record:
            case GuestPlanned():
                self._names.add(record.guest)
                return None
            case ChargeAwaited():
                return None if record.over else charge_words(record.charge, record.wanted)
            case PowerChanged():
                return mains_words(record.at, turned=record.turned, back=record.back)
            case GuestEnded():
                why = f" ({record.message})" if record.message else ""
                where = moved_words(record.moved_to, record.moved_from)
                return f"{self._names[record.guest]}: {record.outcome.value}{where}{why}"
            case GuestHeld():
                return f"{self._names[record.guest]}: waits for {record.by}"
            # A deaf guest is asked again every ten seconds: on a console it would push everybody else's lines away.
            case GuestAsked() if self._verbose or record.attempt == 1:
                return f"{self._names[record.guest]}: {record.method}" + ("" if record.attempt == 1 else " again")
            case AttemptEnded() if record.attempt.result in FAILURES:
                attempt = record.attempt
                return (
                    f"{self._names[record.guest]}: {attempt.method} {attempt.result} {attempt_words(attempt)}".rstrip()
                )
            case _:
                return self._hook_line(record)

    def _hook_line(self, record: Record) -> str | None:
        match record:
            case HookSaid():
                return f"{self._prefix(record.guest)}{record.plugin}: {record.line}"
            case HookBegun() if self._verbose:
                return f"{self._prefix(record.guest)}{record.hook} of {record.plugin}"
            case HookEnded() if record.record.result in FAILURES:
                hook = record.record
                what = f"{hook.hook} of {hook.plugin}{f' {hook.result.value}' if hook.called else ''}"
                return f"{self._prefix(record.guest)}{what}: {hook_words(hook)}"
            case _:
                return None

    def _prefix(self, guest: Key | None) -> str:
        # Plugins are asked for a guest's settings before it is known whether it belongs to the run.
        return f"{self._names.get(guest, guest[1])}: " if guest else ""
