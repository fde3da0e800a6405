"""Does a run from its lock to its report: one at a time, with signals and other processes answered."""

import asyncio
import gc
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

from lastcall.api.guests import Reason, RunKind
from lastcall.api.results import Report
from lastcall.errors import LastcallError, in_words
from lastcall.formats.quantities import format_duration
from lastcall.persistence.mailbox import Answer, Request
from lastcall.persistence.state import StateFile, StateInvalid, open_state
from lastcall.runs.assembly import Parts, RunRequest, assemble
from lastcall.runs.loading import Loaded
from lastcall.runs.lock import RunLock
from lastcall.runs.taking import report_of_joined, take_lock
from lastcall.threads.box import Box
from lastcall.threads.held_signals import HeldSignals
from lastcall.timing.budget import WRITING
from lastcall.timing.deadline import Deadline

TICK = 1.0  # seconds
GARBAGE = 50_000  # objects made until the collector looks; a run makes many that live to its end, and few circles


class Execution(Protocol):
    """One of the two runs."""

    async def execute(self) -> Report:
        """Run it to its end."""
        ...

    def interrupt(self) -> None:
        """Answer a signal."""
        ...


@runtime_checkable
class Joinable(Protocol):
    """A run that can become the one that another process wants to begin."""

    def join(self, reason: Reason, deadline: Deadline) -> bool:
        """Become it; False where it is too late for that."""
        ...

    def announce(self, reason: Reason | None, deadline: Deadline | None) -> str:
        """Learn when the host is going to stop; returns why that changes nothing, if so."""
        ...


@runtime_checkable
class Insistent(Protocol):
    """A run that a first Ctrl-C does not end."""

    def insist(self) -> bool:
        """Answer it, and say so; False where it ends the run, as it would any other."""
        ...


def perform(
    loaded: Loaded, request: RunRequest, build: Callable[[Parts], Execution], signals: HeldSignals | None = None
) -> Report:
    """Do a run under the lock, with signals answered, and return its report. From here on `signals` are held.

    Raises RunLocked, NoPermission, StateInvalid and UsageError, all before any guest is touched.
    """
    signals = signals or HeldSignals()
    signals.hold()  # before the lock: who holds that is sent signals by others
    lock = RunLock(loaded.settings.paths.run)
    found, joined = take_lock(lock, loaded.settings, request)
    done = report_of_joined(joined, loaded.settings) if joined else None
    if done:
        lock.release()
        return replace(done, problems=(*done.problems, *found))
    loop = asyncio.new_event_loop()
    try:
        parts = assemble(loaded, request, loop)
        parts.stream.problems(found)
        _load_state(parts)
        run = build(parts)
        gc.freeze()  # what is loaded by now stays; the collector need not look at it again
        gc.enable()
        gc.set_threshold(GARBAGE)
        with signals.answered(loop, partial(_answer, lock, run, parts)):
            return loop.run_until_complete(_ticking(run, request.tick, parts))
    finally:
        loop.close()
        lock.release()


async def _ticking(run: Execution, tick: Callable[[float], None] | None, parts: Parts) -> Report:
    """Do the run, and tell somebody every second what time it is."""

    async def go_on(tell: Callable[[float], None]) -> None:
        while True:
            tell(parts.stream.now())
            await asyncio.sleep(TICK)

    ticking = parts.loop.create_task(go_on(tick)) if tick else None
    try:
        return await run.execute()
    finally:
        if ticking:
            ticking.cancel()


def _answer(lock: RunLock, run: Execution, parts: Parts, number: signal.Signals) -> None:
    """Answer a signal: another process wants something, or somebody wants the run to end."""
    if number is signal.SIGUSR1:
        _heed(lock, run, parts)
    elif number is signal.SIGINT and isinstance(run, Insistent) and run.insist():
        return
    # A terminal that goes away is no command to a host stop: it pulled every plug where an ssh session was lost.
    elif number is not signal.SIGHUP or parts.context.terms.reason.voluntary:
        run.interrupt()


def _heed(lock: RunLock, run: Execution, parts: Parts) -> None:
    """Another process wants to begin a host stop, or knows more of when it ends; it is answered."""
    lock.heed(lambda request: _answer_to(request, run, parts))


def _answer_to(request: Request, run: Execution, parts: Parts) -> Answer:
    """A shutdown becomes the host stop, a restore ends."""
    if not isinstance(run, Joinable):
        run.interrupt()  # start nobody else,
        run.interrupt()  # and wait for nobody
        return Answer(accepted=False, message="it starts nobody else, and ends")
    deadline = None if request.ends is None else parts.cut(request.ends - parts.stream.start)
    if request.announced:
        refused = run.announce(Reason(request.reason) if request.reason else None, deadline)
    else:
        joined = run.join(Reason(request.reason), deadline or parts.own)
        refused = "" if joined else "its guests' time is over"
    terms = parts.context.terms
    left = terms.left()
    end = "as long as it takes" if left is None else f"over within {format_duration(round(left, 1))}"
    message = f"{refused}: {end}, as before" if refused else f"for {terms.reason.value}, {end}"
    connections = tuple(one.uri for one in parts.settings.connections)
    return Answer(not refused, message, parts.context.id, connections)


def _load_state(parts: Parts) -> None:
    """Read the list of guests. One that cannot be read ends a restore; a shutdown sets it aside and goes on."""
    books, box = parts.books, Box()
    path = books.state.path
    time = parts.context.terms.share(WRITING)
    try:
        # A file of its own: one that a disk brings in the middle of the run after all must not become the list.
        books.state = box.call(lambda: open_state(path.parent), timeout=time)
    except (LastcallError, TimeoutError) as error:
        # A list that is broken stops no shutdown: an empty one made every later stop of
        # libvirt-guests do nothing, with exit code 0.
        if parts.context.kind is RunKind.RESTORE:
            raise _unread(path, error) from None
        aside = _set_aside(box, books.state, time)
        parts.stream.problem("state", str(path), in_words(error), f"it was moved to {aside}" if aside else "")
    else:
        if books.state.distrust:
            parts.stream.problems([books.state.distrust])
    finally:
        box.close()


def _unread(path: Path, error: LastcallError | TimeoutError) -> LastcallError:
    return StateInvalid(f"{path} cannot be read: {error}") if isinstance(error, TimeoutError) else error


def _set_aside(box: Box, state: StateFile, time: float) -> Path | None:
    try:
        return box.call(state.set_aside, timeout=time)
    except OSError:
        return None
