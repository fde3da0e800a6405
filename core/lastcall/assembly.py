"""Puts a run together: the only room that knows configuration, plugins and libvirt at once."""

import asyncio
import math
import os
import platform
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Protocol, runtime_checkable

from lastcall.api.guests import Guest, Reason, RunKind
from lastcall.api.results import Problem, Report, Severity
from lastcall.asking import MethodAsker
from lastcall.config.models import Settings
from lastcall.config.policies import Policies
from lastcall.deadline import Deadline
from lastcall.engine import Parts
from lastcall.errors import NoPermission, RunLocked, UsageError
from lastcall.hooks.call import OptionLookup, RunContext
from lastcall.hooks.dispatch import Dispatcher
from lastcall.loading import Loaded
from lastcall.lock import Holder, RunLock
from lastcall.options import Options
from lastcall.ports import Hypervisor
from lastcall.presence import Presence
from lastcall.records import ProblemFound, RunStarted, Sink
from lastcall.runlog import BackgroundRunLog, RunLog
from lastcall.state import StateFile, StateInvalid, boot_id, open_state
from lastcall.stream import Stream
from lastcall.workers import ThreadWorkers, Workers

TICK = 1.0  # seconds
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What is asked for: kind, reason, a deadline that overrides the configured one, and where lines of progress go.

    `tick` is called every second, on the loop's thread, with the seconds since the start.
    """

    kind: RunKind
    reason: Reason = Reason.MANUAL
    deadline: float | None = None
    rehearsal: bool = False
    sinks: Sequence[tuple[str, Sink]] = ()
    tick: Callable[[float], None] | None = None
    started: float = field(default_factory=time.monotonic)


class Run(Protocol):
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

    def join(self, reason: Reason, deadline: Deadline) -> None:
        """Become it."""
        ...


@dataclass(frozen=True, slots=True)
class Outside:
    """What a run touches the world with: worker threads, libvirt and the disk, or what tests put in their place."""

    workers: Workers
    hypervisor: Hypervisor
    log: Callable[[Path, float], Sink]
    wait: Callable[[threading.Event, float], object] = threading.Event.wait

    @classmethod
    def real(cls, loop: asyncio.AbstractEventLoop) -> "Outside":
        """Worker threads and libvirt (imported here: most commands, and tests on guests in memory, need none)."""
        from lastcall.hypervisor.pool import LibvirtHypervisor

        workers = ThreadWorkers(loop)
        return cls(
            workers, LibvirtHypervisor(workers), lambda folder, ends: BackgroundRunLog(RunLog(folder), ends).take
        )


def assemble(
    loaded: Loaded, request: RunRequest, loop: asyncio.AbstractEventLoop, outside: Outside | None = None
) -> Parts:
    """Build the parts of a run on this loop, by default with libvirt and worker threads."""
    outside = outside or Outside.real(loop)
    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    limit = _limit(loaded.settings, request)
    ends = math.inf if limit is None else request.started + limit
    stream = Stream(loop.time, _sinks(loaded, request, outside, ends), started=request.started)
    shutdown, policies = loaded.settings.shutdown, Policies(loaded.settings)
    context = RunContext(
        id=run_id,
        kind=request.kind,
        reason=request.reason,
        rehearsal=request.rehearsal,
        clock=loop.time,
        deadline=Deadline.after(request.started, limit, reserve=shutdown.reserve, grace=shutdown.grace),
        folders=loaded.settings.paths.state / "plugins",
        options=_option_lookup(loaded.settings, policies),
        domain=outside.hypervisor.domain,
        wait=outside.wait,
        shells={name: (source.name, shell) for name, (source, shell) in loaded.plugins.shells.items()},
        shell_names=lambda guest: policies.of(guest).shell,
        concerns=_concerns(loaded, policies),
    )
    methods = {name: (source.name, method) for name, (source, method) in loaded.plugins.methods.items()}
    parts = Parts(
        loop=loop,
        settings=loaded.settings,
        policies=policies,
        context=context,
        workers=outside.workers,
        hypervisor=outside.hypervisor,
        hooks=Dispatcher(loaded.plugins.registry, loaded.settings.hooks, context, outside.workers, stream, loop),
        asker=MethodAsker(methods, context, outside.workers, loop),
        methods={name: method for name, (_, method) in methods.items()},
        presence=Presence(),
        stream=stream,
        state=StateFile(loaded.settings.paths.state),
        boot_id=boot_id(),
    )
    _open_stream(parts, loaded, request, limit)
    return parts


def perform(loaded: Loaded, request: RunRequest, build: Callable[[Parts], Run]) -> Report:
    """Do a run under the lock, with signals answered, and return its report.

    Raises RunLocked, NoPermission, StateInvalid and UsageError, all before any guest is touched.
    """
    lock = RunLock(loaded.settings.paths.run)
    found = _take(lock, loaded, request)
    loop = asyncio.new_event_loop()
    try:
        parts = assemble(loaded, request, loop)
        for problem in found:
            parts.stream.emit(ProblemFound(at=parts.stream.now(), problem=problem))
        _load_state(parts)
        run = build(parts)
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup means it
                loop.add_signal_handler(number, run.interrupt)
        if isinstance(run, Joinable):
            loop.add_signal_handler(signal.SIGUSR1, _join, lock, run, parts)
        return loop.run_until_complete(_ticking(run, request.tick, parts))
    finally:
        loop.close()
        lock.release()


async def _ticking(run: Run, tick: Callable[[float], None] | None, parts: Parts) -> Report:
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


def _join(lock: RunLock, run: Joinable, parts: Parts) -> None:
    """Another process wanted to begin a host stop: this run becomes it."""
    request = lock.request()
    if request is not None:
        limit = request.ends - parts.stream.start
        shutdown = parts.settings.shutdown
        deadline = Deadline.after(parts.stream.start, limit, reserve=shutdown.reserve, grace=shutdown.grace)
        run.join(Reason(request.reason), deadline)


def version() -> str:
    """The installed version of lastcall."""
    return metadata.version("lastcall")


def _take(lock: RunLock, loaded: Loaded, request: RunRequest) -> list[Problem]:
    """Take the lock. A host stop gets it in any case, and one that cannot even write a lock file goes on without."""
    holder = Holder(request.kind.value, request.reason.value, os.getpid())
    told: list[str] = []
    try:
        if request.reason.voluntary:
            lock.take(holder)
        else:
            told = _take_for_host_stop(lock, holder, loaded.settings, request)
    except (OSError, NoPermission, RunLocked) as error:
        if isinstance(error, RunLocked) and request.reason.voluntary:
            raise
        if request.reason.voluntary:
            raise NoPermission(str(error), "run as root, or set paths.run and paths.state") from None
        return [Problem(what="lock", where=str(lock.path), message=f"cannot be taken: {error}; going on without")]
    return [Problem(what="lock", where="this run", message=text, severity=Severity.WARNING) for text in told]


def _take_for_host_stop(lock: RunLock, holder: Holder, settings: Settings, request: RunRequest) -> list[str]:
    """Take the lock, from another run if need be; returns what was done to that."""
    told: list[str] = []
    try:
        lock.take(holder)
    except RunLocked:
        limit = _limit(settings, request) or 0.0
        ends = request.started + limit
        room = min(settings.shutdown.reserve, limit / 3) / 2  # to force off what a joined run leaves
        lock.take_over(holder, ends=ends, until=ends - room, say=told.append)
    return told


def _load_state(parts: Parts) -> None:
    """Read the list of guests. One that cannot be read ends a restore; a shutdown sets it aside and goes on."""
    try:
        parts.state.load()
    except (StateInvalid, OSError) as error:
        if parts.context.kind is RunKind.RESTORE:
            open_state(parts.state.path.parent)  # raises the same as an error with a remedy
        aside = _set_aside(parts.state)
        parts.stream.problem("state", str(parts.state.path), str(error), f"it was moved to {aside}" if aside else "")


def _set_aside(state: StateFile) -> Path | None:
    try:
        return state.set_aside()
    except OSError:
        return None


def _sinks(loaded: Loaded, request: RunRequest, outside: Outside, ends: float) -> list[tuple[str, Sink]]:
    sinks = list(request.sinks)
    if not request.rehearsal:
        sinks.append(("run log", outside.log(loaded.settings.paths.state / "runs", ends)))
    return sinks


def _limit(settings: Settings, request: RunRequest) -> float | None:
    section = settings.shutdown if request.kind is RunKind.SHUTDOWN else settings.restore
    limit = request.deadline if request.deadline is not None else section.deadline
    if limit is None and not request.reason.voluntary:
        raise UsageError("a host stop needs a deadline: shutdown.deadline is none", "set it, or give --deadline")
    return limit


def _option_lookup(settings: Settings, policies: Policies) -> OptionLookup:
    def look_up(plugin: str, model: type[Options], guest: Guest | None) -> Options:
        section = settings.plugins if guest is None else policies.of(guest)
        found = getattr(section, plugin, None)
        return model() if found is None else found

    return look_up


def _concerns(loaded: Loaded, policies: Policies) -> Callable[[str, Guest], bool]:
    """Whether a plugin has to do with a guest: those that say so have, where the guest has their key."""
    choosy = {name for name, options in loaded.plugins.options.items() if options.guest and options.only_where_set}

    def concerns(plugin: str, guest: Guest) -> bool:
        return plugin not in choosy or getattr(policies.of(guest), plugin, None) is not None

    return concerns


def _open_stream(parts: Parts, loaded: Loaded, request: RunRequest, limit: float | None) -> None:
    began = datetime.now(UTC) - timedelta(seconds=parts.stream.now())
    parts.stream.emit(
        RunStarted(
            at=parts.stream.now(),
            id=parts.context.id,
            kind=request.kind,
            reason=request.reason,
            started=began.isoformat(timespec="milliseconds"),
            deadline=None if limit is None or limit == math.inf else limit,
            boot_id=parts.boot_id,
            host=socket.gethostname(),
            config=loaded.origin,
            versions={"lastcall": version(), "python": platform.python_version()},
        )
    )
    for problem in (*loaded.problems, *loaded.plugins.registry.problems):
        parts.stream.emit(ProblemFound(at=parts.stream.now(), problem=problem))
