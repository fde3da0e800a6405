"""Tells what a site wants when the mains fail, and what its UPSes say, by NUT; looks at how upsmon is set up."""

from collections.abc import Iterable

from lastcall import PluginOptions, PowerPolicy, Run, Supply, hookimpl
from lastcall_plugins.power.settings import PowerSettings

_KEPT = 0.2  # seconds of a call for saying that nobody has answered


@hookimpl
def plugin_options() -> PluginOptions:
    """Declare `plugins.power`."""
    return PluginOptions(settings=PowerSettings)


@hookimpl
def power_policy(run: Run) -> PowerPolicy:
    """Tell what is configured."""
    return run.options(PowerSettings).policy


@hookimpl
def power_supplies(run: Run) -> Iterable[Supply]:
    """Ask the UPSes."""
    from lastcall_plugins.power.supplies import ask_supplies

    return ask_supplies(run.options(PowerSettings).addresses, run.remaining() - _KEPT)
