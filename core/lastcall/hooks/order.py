"""The order in which implementations of one hook fire; never the order in which plugins happened to be found."""

from collections.abc import Sequence

from lastcall.formats.values import value
from lastcall.hooks.sources import Origin, Source

RESTORE_HOOKS = frozenset({
    "pre_restore", "on_guest_start", "guest_ready", "on_guest_started", "post_restore", "post_wake",
})  # fmt: skip
RUN_HOOKS = (
    "pre_shutdown", "on_guest_stop", "on_guest_stuck", "on_guest_stopped", "post_shutdown",
    "pre_restore", "on_guest_start", "guest_ready", "on_guest_started", "post_restore",
    "pre_sleep", "post_wake",
)  # fmt: skip
"""The hooks that a run fires, in its order; the others are asked what there is, or what is to be."""
ASKED_HOOKS = (
    "check", "check_guest", "guest_busy", "guest_waits", "post_check", "describe_guest", "guest_settings",
    "power_policy", "power_supplies",
)  # fmt: skip
LOAD_HOOKS = ("plugin_options", "stop_methods", "guest_shells", "register_commands")


@value
class Position:
    """What decides the place of one implementation."""

    source: Source
    tryfirst: bool = False
    trylast: bool = False


def firing_order(hook: str, positions: Sequence[Position], *, first: Sequence[str], last: Sequence[str]) -> list[int]:
    """Return the indices of `positions` in firing order.

    `hooks.first`, tryfirst, drop-ins by file name, packages by name, trylast, `hooks.last`. A restore reverses within
    drop-ins and within packages and swaps those two bands, so that what was done last is undone first.
    """
    mirrored = hook in RESTORE_HOOKS

    def band(index: int) -> tuple[int, int]:
        position = positions[index]
        name = position.source.name
        if name in first:
            return (0, first.index(name))
        if name in last:
            return (4, last.index(name))
        return (1 if position.tryfirst else 3 if position.trylast else 2, 0)

    def kind(index: int) -> int:
        dropin = positions[index].source.origin is Origin.DROPIN
        return int(dropin) if mirrored else int(not dropin)

    # Sorting is stable: by name (mirrored for a restore), then drop-ins against packages, then the bands.
    # Entry points come in the order of the file system: two installs of the same plugins fired in two orders.
    ordered = sorted(range(len(positions)), key=lambda index: positions[index].source.sort_key, reverse=mirrored)
    return sorted(ordered, key=lambda index: (band(index), kind(index)))
