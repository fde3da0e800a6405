"""A world's configuration as its administrator would have written it; JSON, which is YAML as well."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from lastcall.config.compose import settings_model
from lastcall.config.load import parse
from lastcall.config.settings import Bootstrap, Settings
from lastcall.config.validation import validate
from lastcall.hooks.discovery import Plugins
from lastcall.runs.loading import Loaded
from simulation.world import GuestNature, World


@cache
def _plugins() -> Plugins:
    """The bundled ones: to find and load them takes longer than to play a world."""
    return Plugins(Bootstrap())


@cache
def _model() -> type[Settings]:
    """The model of the configuration, which takes as long to make."""
    return settings_model(_plugins().vocabulary, rules=True)


def configured(world: World, folder: Path) -> Loaded:
    """Configuration and plugins of a world, with everything kept in `folder`."""
    document = parse(_text(world, folder))
    settings, problems = validate(_model(), document.node)
    if not isinstance(settings, Settings):
        raise TypeError(f"the world's configuration is invalid: {problems}")
    return Loaded(settings, _plugins(), "file", document).for_reason(world.reason)


def _text(world: World, folder: Path) -> str:
    return json.dumps(
        {
            "connections": [
                {"uri": line.uri, "reconnect": line.reconnect, "parallel": line.parallel} for line in world.lines
            ],
            "paths": {"state": str(folder), "run": str(folder), "hooks": str(folder / "hooks.d")},
            "shutdown": {
                "deadline": world.deadline,
                "reserve": world.reserve,
                "grace": world.grace,
                "parallel": world.parallel,
            },
            "restore": {
                "deadline": world.restore_deadline,
                "parallel": world.restore_parallel,
                "attempts": world.attempts,
            },
            "guests": [_rule(guest) for guest in world.guests],
        }
    )


def _rule(guest: GuestNature) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "match": guest.name,
        "last_resort": list(guest.last_resort),
        "timeout": guest.timeout,
        "depends_on": list(guest.needs),
        "paused": guest.paused,
        "jobs": guest.jobs,
        "transient": guest.transient,
        "manage": guest.manage,
        "restore": guest.restore,
    }
    if guest.driver == "QEMU":  # what a container's ladder is without one of its own is worth a try, too
        rule["stop"] = [{method: {"timeout": timeout} if timeout else {}} for method, timeout in guest.ladder]
    if guest.order is not None:
        rule["order"] = guest.order
    return rule
