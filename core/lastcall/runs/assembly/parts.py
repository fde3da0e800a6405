"""The parts of a run, put together of its configuration, its plugins and what it touches the world with."""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from lastcall.api.guests import Reason
from lastcall.api.stopping import StopMethod
from lastcall.config.policies import Policies
from lastcall.config.settings import Settings, ShutdownSettings
from lastcall.formats.values import value
from lastcall.guests.requests.stop_request import Asker, MethodAsker
from lastcall.hooks.call import RunContext
from lastcall.hooks.dispatch import Dispatcher, Hooks
from lastcall.hypervisor.ports import Hypervisor
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.last_look import LastLook
from lastcall.persistence.state import StateFile
from lastcall.planning.history import History
from lastcall.presence.connections import Connections
from lastcall.presence.inventory import Inventory
from lastcall.presence.power_state import PowerState
from lastcall.records.stream import Stream
from lastcall.runs.assembly.context import context_of, cut_deadline
from lastcall.runs.assembly.outside import Outside
from lastcall.runs.assembly.sinks import open_stream, sinks_of
from lastcall.runs.bookkeeping import Bookkeeping
from lastcall.runs.loading import Loaded
from lastcall.runs.request import RunRequest
from lastcall.threads.workers import Workers
from lastcall.timing.budget import WRITING
from lastcall.timing.deadline import Deadline
from lastcall.timing.terms import Terms

KEEPING = 1.0  # seconds for the copy of a good configuration: only the next broken one wants it


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
        return cut_deadline(shutdown, self.stream.start, limit, heard=self.hooks.listens("post_shutdown"))


def assemble(
    loaded: Loaded, request: RunRequest, loop: asyncio.AbstractEventLoop, outside: Outside | None = None
) -> Parts:
    """Build the parts of a run on this loop, by default with libvirt and worker threads."""
    outside = outside or Outside.real(loop, moves_at_once=loaded.settings.migrate.parallel)
    limit = request.limit(loaded.settings)
    ends = math.inf if limit is None else request.started + limit
    stream = Stream(loop.time, sinks_of(loaded, request, outside, ends), started=request.started)
    policies = Policies(loaded.settings)
    context = context_of(loaded, request, outside, policies, limit, loop)
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
    state, boot = loaded.settings.paths.state, boot_id()
    open_stream(stream, context, loaded, request, limit, boot)
    return Parts(
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
            StateFile(state), History(state), stream, outside.workers, context.terms, boot_id=boot
        ),
        for_any_reason=loaded.for_any_reason,
        reboots=request.reboots,
        own=cut_deadline(
            loaded.settings.shutdown, request.started, request.own_limit(loaded.settings),
            heard=hooks.listens("post_shutdown"),
        ),
    )  # fmt: skip


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
