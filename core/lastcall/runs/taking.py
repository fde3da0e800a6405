"""Getting the lock for a run: a host stop from another run if need be, which may have done its work then."""

import os
from dataclasses import replace

from lastcall.api.results import Report
from lastcall.config.settings import Settings
from lastcall.errors import NoPermission, Problem, RunLocked, Severity
from lastcall.formats.values import value
from lastcall.persistence.mailbox import Answer
from lastcall.persistence.refusals import refusal
from lastcall.runs.lock import RunLock
from lastcall.runs.meanwhile.holder import Holder
from lastcall.runs.request import RunRequest
from lastcall.threads.box import Box
from lastcall.timing.budget import CLEARANCE, RESERVE

READING = 2.0  # seconds for the log of a run, which is milliseconds where the disk answers


@value
class Taken:
    """What came with the lock: what is to be reported, what a run answered that has done the work meanwhile, and what
    is asked for by now."""

    problems: list[Problem]
    joined: Answer | None
    request: RunRequest


def take_lock(lock: RunLock, settings: Settings, request: RunRequest) -> Taken:
    """Take the lock. A host stop gets it in any case, and one that cannot even write a lock file goes on without.

    Raises RunLocked and NoPermission in a voluntary run.
    """
    holder = Holder(request.kind.value, request.reason.value, os.getpid())
    try:
        if not request.reason.voluntary:
            return _take_for_host_stop(lock, holder, settings, request)
        lock.take(holder)
    except (OSError, NoPermission, RunLocked) as error:
        if isinstance(error, RunLocked) and request.reason.voluntary:
            raise
        if request.reason.voluntary:
            raise (refusal(error, lock.path) if isinstance(error, OSError) else error) from None
        message = f"cannot be taken: {error}; going on without"
        return Taken([Problem(what="lock", where=str(lock.path), message=message)], None, request)
    return Taken([], None, request)


def _take_for_host_stop(lock: RunLock, holder: Holder, settings: Settings, request: RunRequest) -> Taken:
    """Take the lock, from another run if need be."""
    told: list[str] = []
    joined: Answer | None = None
    try:
        lock.take(holder)
    except RunLocked:
        limit = request.limit(settings) or 0.0
        ends = request.started + limit
        room = CLEARANCE.of(min(settings.shutdown.reserve, RESERVE.of(limit)))  # to force off what a joined run leaves
        found = lock.take_over(
            holder, ends=ends, own=request.started + (request.own_limit(settings) or 0.0), until=ends - room,
            say=told.append, goes_on=lambda end: request.goes_on(end - request.started),
        )  # fmt: skip
        joined = found.answer
        if found.ends != ends:  # who goes on with what it leaves has the time that it was told of meanwhile
            request = replace(request, deadline=found.ends - request.started, announced=None)
    problems = [Problem(what="lock", where="this run", message=text, severity=Severity.WARNING) for text in told]
    return Taken(problems, joined, request)


def report_of_joined(joined: Answer, settings: Settings) -> Report | None:
    """The report of a run that became this one and saw everybody off; None where something is left to do."""
    if not {one.uri for one in settings.connections} <= set(joined.connections):
        return None
    # Hardly any run joins another.
    from lastcall.report.run_history import past_run

    box = Box()
    try:
        path = settings.paths.state / "runs" / f"{joined.run}.jsonl"
        past = box.call(lambda: past_run(path), timeout=READING)
    except (OSError, ValueError, LookupError, TimeoutError):
        return None
    finally:
        box.close()
    over = past.complete and not any(problem.what == "connection" for problem in past.report.problems)
    return past.report if over and all(guest.ended for guest in past.report.guests) else None
