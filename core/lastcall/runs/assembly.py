"""Puts a run together: the only room that knows configuration, plugins and libvirt at once."""

import asyncio
import contextlib
import math
import os
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from lastcall.api.guests import Guest, Key, Reason, RunKind
from lastcall.api.run import PluginOptions
from lastcall.api.stopping import StopMethod
from lastcall.config.policies import Policies
from lastcall.config.policy.view import view_of
from lastcall.config.settings import Settings, ShutdownSettings
from lastcall.errors import UsageError
from lastcall.formats.values import value
from lastcall.formats.version import __version__
from lastcall.guests.rungs.stop_request import Asker, MethodAsker
from lastcall.hooks.call import OptionLookup, RunContext
from lastcall.hooks.dispatch import Dispatcher, Hooks
from lastcall.hooks.isolation.guarded_shell import GuardedShell
from lastcall.hypervisor.ports import Hypervisor
from lastcall.options import Options
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.last_look import LastLook
from lastcall.persistence.state import StateFile
from lastcall.planning.history import History
from lastcall.planning.selection import EVERYBODY, Selection
from lastcall.presence.connections import Connections
from lastcall.presence.inventory import Inventory
from lastcall.presence.power_state import PowerState
from lastcall.records.held_back import HeldBack
from lastcall.records.log_limit import LogLimit
from lastcall.records.records import RunStarted, Sink
from lastcall.records.run_log import BackgroundRunLog, RunLog
from lastcall.records.stream import Stream
from lastcall.runs.bookkeeping import Bookkeeping
from lastcall.runs.loading import Loaded
from lastcall.threads.workers import ThreadWorkers, Workers
from lastcall.timing.budget import WRITING
from lastcall.timing.deadline import Deadline, soonest
from lastcall.timing.terms import Terms

KEEPING = 1.0  # seconds for the copy of a good configuration: only the next broken one wants it

if TYPE_CHECKING:  # what one kind of run needs the other does not load
    from lastcall.runs.restore import Restore
    from lastcall.runs.shutdown import Shutdown


@value(kw_only=True)
class RunRequest:
    """What is asked for: kind, reason, a deadline that overrides the configured one, and where lines of progress go.

    `announced`: seconds that somebody has announced for it; they count where they are less. `tick` is called every
    second, on the loop's thread, with the seconds since the start; `goes_on`, before there is a loop, as often while
    another run that has become this one goes on, with the seconds from the start to its end. `stopping` says why
    systemd stops the host, None where it does not; `reboots` has it reboot the host instead of powering it off. Both
    may block.
    """

    kind: RunKind
    reason: Reason = Reason.MANUAL
    deadline: float | None = None
    announced: float | None = None
    rehearsal: bool = False
    sinks: Sequence[tuple[str, Sink]] = ()
    tick: Callable[[float], None] | None = None
    goes_on: Callable[[float], None] = lambda _: None
    stopping: Callable[[], Reason | None] = lambda: None
    reboots: Callable[[], None] | None = None
    started: float = field(default_factory=time.monotonic)

    def limit(self, settings: Settings) -> float | None:
        """Seconds that the run may take; None = as long as it takes. Raises UsageError for a host stop without end."""
        return soonest(self.own_limit(settings), self.announced)

    def own_limit(self, settings: Settings) -> float | None:
        """The same, whatever was announced."""
        section = settings.shutdown if self.kind is RunKind.SHUTDOWN else settings.restore
        limit = self.deadline if self.deadline is not None else section.deadline
        if limit is None and not self.reason.voluntary:
            raise UsageError("a host stop needs a deadline: shutdown.deadline is none", "set it, or give --deadline")
        return limit


@value
class Outside:
    """What a run touches the world with: worker threads, libvirt and the disk, or what tests put in their place."""

    workers: Workers
    hypervisor: Hypervisor
    log: Callable[[RunLog, float], Sink]
    wait: Callable[[threading.Event, float], object] = threading.Event.wait

    @classmethod
    def real(cls, loop: asyncio.AbstractEventLoop, *, moves_at_once: int = 0) -> "Outside":
        """Worker threads and libvirt (imported here: most commands, and tests on guests in memory, need none)."""
        from lastcall.hypervisor.pool import LibvirtHypervisor

        workers = ThreadWorkers(loop)
        hypervisor = LibvirtHypervisor(workers, moves_at_once=moves_at_once)
        return cls(workers, hypervisor, lambda log, ends: BackgroundRunLog(log, ends).take)


@value(kw_only=True)
class Parts:
    """Everything a run is put together from. It stays with those who assemble: rooms below get the ports they need."""

    loop: asyncio.AbstractEventLoop
    settings: Settings
    policies: Policies
    context: RunContext
    workers: Workers
    hypervisor: Hypervisor
    hooks: Hooks
    asker: Asker
    methods: Mapping[str, StopMethod[Any]]
    status: PowerState
    stream: Stream
    inventory: Inventory
    books: Bookkeeping
    own: Deadline
    reboots: Callable[[], None] | None
    for_any_reason: ShutdownSettings

    @property
    def connections(self) -> Connections:
        """The run's connections."""
        return self.inventory.connections

    @property
    def deadline(self) -> Deadline:
        """The run's milestones."""
        return self.context.terms.deadline

    def cut(self, limit: float) -> Deadline:
        """The milestones where the run has so many seconds from its start, cut as its own were."""
        return self._cut(self.settings.shutdown, limit)

    def ordinary(self, reason: Reason) -> Deadline:
        """The milestones that a run for this reason would have had from the start of this one, whatever was announced,
        and whatever limit somebody gave it."""
        shutdown = self.for_any_reason.for_reason(reason)
        # Somebody is waited for: where nothing limits that, the usual limit does.
        return self._cut(shutdown, shutdown.deadline or ShutdownSettings().deadline or 0.0)

    def _cut(self, shutdown: ShutdownSettings, limit: float) -> Deadline:
        return _cut(shutdown, self.stream.start, limit, heard=self.hooks.listens("post_shutdown"))


def build_shutdown(
    parts: Parts,
    *,
    chosen: Selection = EVERYBODY,
    force: bool = False,
    stages: Mapping[Key, str] | None = None,
    yes_neighbours: bool = False,
) -> "Shutdown":
    """The shutdown of all active guests, or of those chosen. `force` lets a voluntary run take the last resort.

    `stages`: by which stage of an outage each is shed, in words. `yes_neighbours`: also where a neighbour's guest goes
    on that needs one of them.
    """
    from lastcall.guests.rungs.ladder import Ladder
    from lastcall.guests.rungs.rung_tools import RungTools
    from lastcall.hooks.power.supplies import PowerQuestions
    from lastcall.persistence.power.board import PowerBoard
    from lastcall.presence.sight import Sight
    from lastcall.runs.meanwhile.power_off import PowerOff
    from lastcall.runs.shutdown import Shutdown, ShutdownPlanning
    from lastcall.timing.phases import Phases

    phases = Phases(parts.loop, parts.context.terms, parts.stream, own=parts.own, force=force)
    sight = Sight(parts.hypervisor, parts.status, parts.loop, phases.last_hook)
    tools = RungTools(
        parts.asker, sight, parts.stream, phases.hung_plug, lambda: phases.turned, phases.last_ask,
        parts.books.note_move,
    )  # fmt: skip
    ladder = Ladder(tools)
    wanted = ShutdownPlanning(
        chosen=chosen,
        stages=stages or {},
        parallel=parts.settings.shutdown.parallel,
        pre_budget=parts.settings.hooks.pre_budget,
        spares_neighbours=parts.context.terms.reason in {Reason.MANUAL, Reason.DRILL} and not yes_neighbours,
    )
    terms = parts.context.terms
    power_off = PowerOff(
        PowerQuestions(parts.hooks, terms, parts.loop), PowerBoard(parts.settings.paths.run), parts.stream,
        parts.workers, terms, parts.reboots,
    )  # fmt: skip
    return Shutdown(wanted, parts.context, parts.inventory, phases, ladder, parts.hooks, parts.books, power_off)


def build_restore(
    parts: Parts,
    *,
    chosen: Selection = EVERYBODY,
    at_boot: bool = False,
    fresh: bool = False,
    insists: bool = False,
) -> "Restore":
    """The restore of all that wait, of those chosen (`fresh`: without their images), or of what is due `at_boot`.

    `insists`: a first Ctrl-C does not end it.
    """
    from lastcall.guests.clock_sync import ClockSync
    from lastcall.guests.readiness import Readiness
    from lastcall.guests.starter import Starter
    from lastcall.hooks.power.supplies import PowerQuestions
    from lastcall.persistence.power.awaited_charge import ChargeNote
    from lastcall.runs.fleet.lock_return import LockReturn
    from lastcall.runs.meanwhile.charge import ChargeWait
    from lastcall.runs.restore import Restore, RestorePlanning, StartTools

    settings = parts.settings.restore
    tools = StartTools(
        Starter(parts.hypervisor, parts.status, parts.stream, settings, parts.loop),
        Readiness(parts.hooks, parts.policies, settings, parts.context.terms),
        ClockSync(settings, parts.context, parts.workers, parts.stream),
    )
    questions = PowerQuestions(parts.hooks, parts.context.terms, parts.loop)
    charge = ChargeWait(
        questions, parts.stream, parts.workers, ChargeNote(parts.settings.paths.run), parts.loop,
        parts.deadline.remaining(parts.stream.start),
    )  # fmt: skip
    wanted = RestorePlanning(settings=settings, chosen=chosen, at_boot=at_boot, fresh=fresh, insists=insists)
    return Restore(
        wanted, parts.context, parts.inventory, tools, parts.hooks, parts.books, parts.stream, parts.hypervisor,
        parts.loop, charge if at_boot else None,
        LockReturn(parts.settings, parts.stream, parts.workers, parts.context.terms),
    )  # fmt: skip


def assemble(
    loaded: Loaded, request: RunRequest, loop: asyncio.AbstractEventLoop, outside: Outside | None = None
) -> Parts:
    """Build the parts of a run on this loop, by default with libvirt and worker threads."""
    outside = outside or Outside.real(loop, moves_at_once=loaded.settings.migrate.parallel)
    limit = request.limit(loaded.settings)
    ends = math.inf if limit is None else request.started + limit
    stream = Stream(loop.time, _sinks(loaded, request, outside, ends), started=request.started)
    policies = Policies(loaded.settings)
    context = _context(loaded, request, outside, policies, limit, loop)
    hooks = Dispatcher(loaded.plugins.registry, loaded.settings.hooks, context, outside.workers, stream, loop)
    methods = {name: (source.name, method) for name, (source, method) in loaded.plugins.methods.items()}
    status, found = PowerState(), {name: method for name, (_, method) in methods.items()}
    asker = MethodAsker(
        methods, context, outside.workers, loop, lambda guest: policies.of(guest).timeout, hooks.lines_of
    )
    connections = Connections(
        outside.hypervisor, status, stream, context.terms, loaded.settings.connections,
        # Who stands in front of it wants to know now that a daemon is down; a host that goes down has no second try.
        patient=not (request.reason.voluntary or request.rehearsal),
        crowded=asker.make_room,
        worked=_keeping(loaded, outside.workers, context.terms),
        watch=loaded.settings.shutdown.watch,
    )  # fmt: skip
    state = loaded.settings.paths.state
    parts = Parts(
        loop=loop,
        settings=loaded.settings,
        policies=policies,
        context=context,
        workers=outside.workers,
        hypervisor=outside.hypervisor,
        hooks=hooks,
        asker=asker,
        methods=found,
        status=status,
        stream=stream,
        inventory=Inventory(
            connections, policies, hooks, context, LastLook(state), outside.workers, stream,
            methods=found, model=type(loaded.settings.defaults),
        ),
        books=Bookkeeping(
            StateFile(state), History(state), stream, outside.workers, context.terms, boot_id=boot_id()
        ),
        for_any_reason=loaded.for_any_reason,
        reboots=request.reboots,
        own=_cut(
            loaded.settings.shutdown, request.started, request.own_limit(loaded.settings),
            heard=hooks.listens("post_shutdown"),
        ),
    )  # fmt: skip
    _open_stream(parts, loaded, request, limit)
    return parts


def _context(
    loaded: Loaded,
    request: RunRequest,
    outside: Outside,
    policies: Policies,
    limit: float | None,
    loop: asyncio.AbstractEventLoop,
) -> RunContext:
    heard = bool(loaded.plugins.registry.implementations("post_shutdown"))
    deadline = _cut(loaded.settings.shutdown, request.started, limit, heard=heard)
    return RunContext(
        id=f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.urandom(2).hex()}",
        kind=request.kind,
        rehearsal=request.rehearsal,
        terms=Terms(request.reason, deadline, loop.time),
        folders=loaded.settings.paths.state / "plugins",
        environment=loaded.settings.hooks.environment,
        options=_option_lookup(loaded, policies),
        settings=lambda guest: view_of(policies.of(guest), loaded.settings.restore.ready_timeout),
        domain=outside.hypervisor.domain,
        wait=outside.wait,
        shells={
            name: (source.name, GuardedShell(source.called, shell))
            for name, (source, shell) in loaded.plugins.shells.items()
        },
        called=loaded.plugins.registry.called,
        shell_names=lambda guest: policies.of(guest).shell,
        concerns=_concerns(loaded, policies),
    )


def _cut(shutdown: ShutdownSettings, start: float, limit: float | None, *, heard: bool) -> Deadline:
    return Deadline.after(start, limit, reserve=shutdown.reserve, grace=shutdown.grace, heard=heard)


def _sinks(loaded: Loaded, request: RunRequest, outside: Outside, ends: float) -> list[tuple[str, Sink]]:
    sinks = list(request.sinks)
    if not request.rehearsal:
        runs = loaded.settings.runs
        log = RunLog(loaded.settings.paths.state / "runs", keep=runs.keep, together=runs.size)
        take = LogLimit(outside.log(log, ends), runs.size).take
        # A computer that sleeps ten times a day would have the logs of nothing push out those of its host stops.
        sinks.append(("run log", HeldBack(take).take if request.reason is Reason.SLEEP else take))
    return sinks


def _keeping(loaded: Loaded, workers: Workers, terms: Terms) -> Callable[[], Awaitable[None]] | None:
    """What makes a configuration the last good one, unless the disk takes its time: a run does not wait for that."""
    keep = loaded.keep
    if keep is None:
        return None

    async def keep_in_time() -> None:
        with contextlib.suppress(TimeoutError):
            async with terms.bounded(WRITING, KEEPING):
                await workers.call(keep, timeout=KEEPING)

    return keep_in_time


def _option_lookup(loaded: Loaded, policies: Policies) -> OptionLookup:
    def look_up(plugin: str, guest: Guest | None) -> tuple[type[Options] | None, Options | None]:
        options = loaded.plugins.options.get(plugin, PluginOptions())
        declared = options.settings if guest is None else options.guest
        section = loaded.settings.plugins if guest is None else policies.of(guest)
        # What is not declared is none of its options: a plugin may have the name of a guest key of the core.
        return declared, getattr(section, plugin, None) if declared else None

    return look_up


def _concerns(loaded: Loaded, policies: Policies) -> Callable[[str, Guest], bool]:
    """Whether a plugin has to do with a guest: those that say so have, where the guest has their key."""
    choosy = {name for name, options in loaded.plugins.options.items() if options.guest and options.only_where_set}

    def concerns(plugin: str, guest: Guest) -> bool:
        return plugin not in choosy or getattr(policies.of(guest), plugin, None) is not None

    return concerns


def _open_stream(parts: Parts, loaded: Loaded, request: RunRequest, limit: float | None) -> None:
    # The run began when the process did: imports and reading the configuration are part of its deadline.
    began = datetime.now(UTC) - timedelta(seconds=parts.stream.now())
    asks = request.kind is RunKind.SHUTDOWN  # a restore asks nobody, and has no last resort
    parts.stream.emit(
        RunStarted(
            at=parts.stream.now(),
            id=parts.context.id,
            kind=request.kind,
            reason=request.reason,
            started=began.isoformat(timespec="milliseconds"),
            deadline=None if limit is None or limit == math.inf else limit,
            boot_id=parts.books.boot_id,
            host=socket.gethostname(),
            config=loaded.origin,
            versions={"lastcall": __version__, "python": ".".join(map(str, sys.version_info[:3]))},
            last_ask=parts.deadline.last_ask_after(parts.stream.start) if asks else None,
            last_resort=parts.deadline.last_resort_after(parts.stream.start) if asks else None,
        )
    )
    parts.stream.problems(loaded.problems, source="configuration")
    parts.stream.problems(loaded.plugins.registry.problems)
    if not request.rehearsal:  # `check` and its like tell them with their places in the file
        parts.stream.problems(loaded.plugins.registry.stray_names())
