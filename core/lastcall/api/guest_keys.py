"""The guest keys of the core: what they come to for one guest, and which names are kept for them.

In a rule the core's keys and those of plugins, which are called like the plugin, stand side by side. So no name may be
both, now or later: a plugin that has a guest key has none of the `KEPT` names, nor one that begins as in `BEGINNINGS`,
and a key that the core, or a bundled plugin, gets after this has one of them.
"""

from collections.abc import Mapping
from typing import Literal

from lastcall.formats.values import value


@value(frozen=True, kw_only=True)
class GuestHooks:
    """What differs for the hooks of one guest. `timeout`: seconds of one call; None = as for all guests."""

    timeout: float | None = None


@value(frozen=True, kw_only=True)
class GuestShedding:
    """When a guest is shed while a battery carries the host: as soon as one of these holds, never where all are None.

    `after`: seconds on battery. `below`: its charge, in per cent. `runtime_below`: how long it carries on, in seconds.
    """

    after: float | None = None
    below: float | None = None
    runtime_below: float | None = None


@value(frozen=True, kw_only=True)
class GuestSettings:
    """What counts for one guest after defaults, metadata, plugins and rules: a field for each guest key of the core.

    Durations are seconds. `stop` and `last_resort` are names of stop methods, none for a guest that is left running;
    each of `depends_on` is what a rule's `match` may say. What plugins declare is theirs alone: see `Run.options`.
    """

    manage: bool
    depends_on: tuple[Mapping[str, str], ...]
    order: int | None
    stop: tuple[str, ...]
    timeout: float
    last_resort: tuple[str, ...]
    paused: Literal["save", "resume", "leave"]
    jobs: Literal["wait", "abort"]
    transient: Literal["stop", "leave"]
    restore: bool | Literal["always"]
    drill: bool
    shed: GuestShedding
    sleep: Literal["leave", "pause", "save"]
    start_delay: float
    ready_timeout: float
    shell: tuple[str, ...]
    hooks: GuestHooks


# Those of today, and some that may be wanted. Nothing is added to it, or a plugin that has the name would lose it.
KEPT = frozenset({
    "deadline", "depends_on", "drill", "grace", "group", "hooks", "jobs", "last_resort", "manage", "match", "migrate",
    "needs", "order", "parallel", "paused", "power", "priority", "ready_timeout", "restore", "shed", "shell",
    "sleep", "start_delay", "stop", "timeout", "transient", "units",
})  # fmt: skip
BEGINNINGS = ("guest_", "restore_", "start_", "stop_")


def is_kept(name: str) -> bool:
    """Whether a guest key of this name is, or may become, the core's or a bundled plugin's."""
    return name in KEPT or name.startswith(BEGINNINGS)
