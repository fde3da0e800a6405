"""What others have said, in bounds before it becomes part of a run: one plugin or guest must not fill every file."""

from dataclasses import replace

from lastcall.api.guests import Guest
from lastcall.errors import Problem
from lastcall.formats.bounded_text import NAME_LIMIT, bounded
from lastcall.records.records import (
    AttemptEnded,
    GuestBegun,
    GuestEnded,
    GuestHeld,
    GuestPlanned,
    HookEnded,
    HookSaid,
    ProblemFound,
    Record,
)

LINE_LIMIT = 8192  # characters of a line of output
_TRACE_LIMIT = 20_000  # characters; its first lines say where, an exception's endless message comes last


def within_bounds(record: Record) -> Record:
    """The record with its messages and names cut where they are too long."""
    match record:
        case GuestPlanned():
            return replace(record, guest=_named(record.guest))
        case GuestBegun():
            return replace(record, waited_for=tuple(bounded(name, NAME_LIMIT) for name in record.waited_for))
        case GuestHeld():
            return replace(record, by=bounded(record.by))
        case AttemptEnded():
            attempt = replace(record.attempt, message=bounded(record.attempt.message))
            return replace(record, attempt=attempt)
        case HookSaid():
            return replace(record, line=bounded(record.line, LINE_LIMIT))
        case HookEnded():
            call = replace(record.record, message=bounded(record.record.message))
            return replace(record, record=call, traceback=bounded(record.traceback, _TRACE_LIMIT))
        case GuestEnded():
            return replace(record, message=bounded(record.message))
        case ProblemFound():
            return replace(record, problem=_told(record.problem))
        case _:
            return record


def _named(guest: Guest) -> Guest:
    return replace(guest, name=bounded(guest.name, NAME_LIMIT))


def _told(problem: Problem) -> Problem:
    return replace(
        problem, what=bounded(problem.what, NAME_LIMIT), where=bounded(problem.where), message=bounded(problem.message),
        remedy=bounded(problem.remedy),
    )  # fmt: skip
