"""A world's configuration as its administrator would have written it; JSON, which is YAML as well."""

import json
from pathlib import Path
from typing import Any

from simulation.world import GuestNature, World


def configuration(world: World, folder: Path) -> str:
    """The text of the configuration, with everything kept in `folder`."""
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
        "transient": guest.transient,
        "manage": guest.manage,
        "restore": guest.restore,
    }
    if guest.driver == "QEMU":  # what a container's ladder is without one of its own is worth a try, too
        rule["stop"] = [{method: {"timeout": timeout} if timeout else {}} for method, timeout in guest.ladder]
    if guest.order is not None:
        rule["order"] = guest.order
    return rule
