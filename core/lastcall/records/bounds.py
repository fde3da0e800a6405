"""What others have said, before it becomes part of a run: in bounds, as one plugin or guest must not fill every file,
and without the secrets that were read.
"""

from dataclasses import replace
from typing import Any, TypeVar

from lastcall.api.guests import Guest
from lastcall.api.results import Attempt, HookRecord
from lastcall.errors import Problem
from lastcall.formats.bounded_text import MESSAGE_LIMIT, NAME_LIMIT, TRACE_LIMIT, bounded, shown
from lastcall.formats.secret_text import masked
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

FailureT = TypeVar("FailureT", Attempt, HookRecord)
ToldT = TypeVar("ToldT", bound=Any)

LINE_LIMIT = 8192  # characters of a line of output


def within_bounds(record: Record) -> Record:
    """The record with its messages and names cut where they are too long, and no secret in what is told.

    Names stay whole: a guest that is called like somebody's password still has to be found.
    """
    match record:
        case GuestPlanned():
            return _with(record, guest=_named(record.guest))
        case GuestBegun():
            return _with(record, waited_for=tuple(bounded(name, NAME_LIMIT) for name in record.waited_for))
        case GuestHeld():
            return _with(record, by=_message(record.by))
        case AttemptEnded():
            return _with(record, attempt=_failure(record.attempt))
        case HookSaid():
            return _with(record, line=_message(record.line, LINE_LIMIT))
        case HookEnded():
            return _with(record, record=_failure(record.record))
        case GuestEnded():
            return _with(record, message=_message(record.message))
        case ProblemFound():
            return _with(record, problem=_told(record.problem))
        case _:
            return record


def _named(guest: Guest) -> Guest:
    return _with(guest, name=bounded(guest.name, NAME_LIMIT))


def _failure(told: FailureT) -> FailureT:
    return _with(
        told, message=_message(told.message), where=_message(told.where),
        traceback=_message(told.traceback, TRACE_LIMIT),
    )  # fmt: skip


def _message(text: object, limit: int = MESSAGE_LIMIT) -> str:
    told = text if isinstance(text, str) else shown(text)
    # Masked first: of a secret that is cut in two nobody would know the beginning.
    return bounded(masked(told), limit) if told else ""


def _told(problem: Problem) -> Problem:
    return _with(
        problem, what=bounded(problem.what, NAME_LIMIT), where=bounded(problem.where),
        message=_message(problem.message), remedy=_message(problem.remedy),
    )  # fmt: skip


def _with(told: ToldT, **fields: object) -> ToldT:
    """The same with these fields; itself where they are the same, as nearly always: each record comes through here."""
    for name, one in fields.items():
        if getattr(told, name) is not one:
            return replace(told, **fields)
    return told
