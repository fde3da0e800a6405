"""Puts a run together: the only room that knows configuration, plugins and libvirt at once."""

import asyncio
import math
import platform
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path

from lastcall.api.guests import Guest, Reason, RunKind
from lastcall.asking import MethodAsker
from lastcall.config.models import Settings
from lastcall.config.policies import Policies
from lastcall.deadline import Deadline
from lastcall.engine import Parts
from lastcall.errors import UsageError
from lastcall.hooks.call import OptionLookup, RunContext
from lastcall.hooks.dispatch import Dispatcher
from lastcall.loading import Loaded
from lastcall.options import Options
from lastcall.ports import Hypervisor
from lastcall.presence import Presence
from lastcall.records import ProblemFound, RunStarted, Sink
from lastcall.runlog import BackgroundRunLog, RunLog
from lastcall.state import StateFile, boot_id
from lastcall.stream import Stream
from lastcall.workers import ThreadWorkers, Workers


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

    def limit(self, settings: Settings) -> float | None:
        """Seconds that the run may take; None = as long as it takes. Raises UsageError for a host stop without end."""
        section = settings.shutdown if self.kind is RunKind.SHUTDOWN else settings.restore
        limit = self.deadline if self.deadline is not None else section.deadline
        if limit is None and not self.reason.voluntary:
            raise UsageError("a host stop needs a deadline: shutdown.deadline is none", "set it, or give --deadline")
        return limit


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
    limit = request.limit(loaded.settings)
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


def version() -> str:
    """The installed version of lastcall."""
    return metadata.version("lastcall")


def _sinks(loaded: Loaded, request: RunRequest, outside: Outside, ends: float) -> list[tuple[str, Sink]]:
    sinks = list(request.sinks)
    if not request.rehearsal:
        sinks.append(("run log", outside.log(loaded.settings.paths.state / "runs", ends)))
    return sinks


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
