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
from lastcall.persistence.state import StateFile, StateInvalid, open_state
from lastcall.runs.assembly.parts import Parts, assemble
from lastcall.runs.loading import Loaded
from lastcall.runs.lock import RunLock
from lastcall.runs.meanwhile.answers import Answers, Deadlines
from lastcall.runs.request import RunRequest
from lastcall.runs.taking import report_of_joined, take_lock
from lastcall.threads.box import Box
from lastcall.threads.held_signals import HeldSignals
from lastcall.timing.budget import WRITING
from lastcall.timing.terms import Terms

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
    taken = take_lock(lock, loaded.settings, request)
    request = taken.request
    done = report_of_joined(taken.joined, loaded.settings) if taken.joined else None
    if done:
        lock.release()
        return replace(done, problems=(*done.problems, *taken.problems))
    loop = asyncio.new_event_loop()
    try:
        parts = assemble(loaded, request, loop)
        parts.stream.problems(taken.problems)
        _load_state(parts)
        run = build(parts)
        gc.freeze()  # what is loaded by now stays; the collector need not look at it again
        gc.enable()
        gc.set_threshold(GARBAGE)
        answers = Answers(
            lock, run, parts.context, Deadlines(own=parts.own, cut=parts.cut, ordinary=parts.ordinary), parts.stream,
            parts.workers, loop, request.stopping, [one.uri for one in parts.settings.connections],
        )  # fmt: skip
        with signals.answered(loop, partial(_answer, answers, run, parts.context.terms)):
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


def _answer(answers: Answers, run: Execution, terms: Terms, number: signal.Signals) -> None:
    """Answer a signal: another process wants something, or somebody wants the run to end."""
    if number is signal.SIGUSR1:
        answers.heed()
    elif number is signal.SIGINT and isinstance(run, Insistent) and run.insist():
        return
    # A terminal that goes away is no command to a host stop: it pulled every plug where an ssh session was lost.
    elif number is not signal.SIGHUP or terms.reason.voluntary:
        run.interrupt()


def _load_state(parts: Parts) -> None:
    """Read the list of guests. One that cannot be read ends a restore; a shutdown sets it aside and goes on.

    So does what wakes guests: those that were paused are not on it.
    """
    books, box = parts.books, Box()
    path = books.state.path
    time = parts.context.terms.share(WRITING)
    try:
        # A file of its own: one that a disk brings in the middle of the run after all must not become the list.
        books.state = box.call(lambda: open_state(path.parent), timeout=time)
    except (LastcallError, TimeoutError) as error:
        # A list that is broken stops no shutdown: an empty one made every later stop of
        # libvirt-guests do nothing, with exit code 0.
        if parts.context.kind is RunKind.RESTORE and parts.context.terms.reason is not Reason.SLEEP:
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
