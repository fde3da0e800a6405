"""What a run's plugins are told of it, and which of them have to do with a guest."""

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime

from lastcall.api.guests import Guest
from lastcall.api.run import PluginOptions
from lastcall.config.policies import Policies
from lastcall.config.policy.view import view_of
from lastcall.config.settings import ShutdownSettings
from lastcall.hooks.call import OptionLookup, RunContext
from lastcall.hooks.isolation.guarded_shell import GuardedShell
from lastcall.options import Options
from lastcall.runs.assembly.outside import Outside
from lastcall.runs.loading import Loaded
from lastcall.runs.request import RunRequest
from lastcall.timing.deadline import Deadline
from lastcall.timing.terms import Terms


def context_of(
    loaded: Loaded,
    request: RunRequest,
    outside: Outside,
    policies: Policies,
    limit: float | None,
    loop: asyncio.AbstractEventLoop,
) -> RunContext:
    """The context of a run, which ends by `limit` seconds from its start."""
    heard = bool(loaded.plugins.registry.implementations("post_shutdown"))
    deadline = cut_deadline(loaded.settings.shutdown, request.started, limit, heard=heard)
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


def cut_deadline(shutdown: ShutdownSettings, start: float, limit: float | None, *, heard: bool) -> Deadline:
    """The milestones of a run that has so many seconds from its start; `heard`: somebody listens to its end."""
    return Deadline.after(start, limit, reserve=shutdown.reserve, grace=shutdown.grace, heard=heard)


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
