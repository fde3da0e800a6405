"""Tells what a site wants when the mains fail, and what its UPSes say, by NUT; looks at how upsmon is set up."""

from collections.abc import Iterable
from dataclasses import replace

from lastcall import CheckFindings, PluginOptions, PowerPolicy, Problem, Run, Supply, hookimpl
from lastcall_plugins.power.settings import PowerSettings

_KEPT = 0.2  # seconds of a call for saying that nobody has answered


@hookimpl
def plugin_options() -> PluginOptions:
    """Declare `plugins.power`."""
    return PluginOptions(settings=PowerSettings)


@hookimpl(trylast=True)
def power_policy(run: Run) -> PowerPolicy:
    """Tell what is configured, unless a plugin of the site has told it."""
    policy = run.options(PowerSettings).policy
    if policy.power_returns == "stay":
        return policy
    from lastcall_plugins.power.killpower import ups_cuts_power

    # Turned off and on again by its UPS, the host comes back by itself, and rebooted it would lose its power meanwhile.
    return replace(policy, power_returns="stay") if ups_cuts_power(run) else policy


@hookimpl(trylast=True)
def power_supplies(run: Run) -> Iterable[Supply]:
    """Ask the UPSes. Where nobody has named any, one that does not answer is none: the site may have no NUT."""
    from lastcall_plugins.power.supplies import ask_supplies

    settings = run.options(PowerSettings)
    found = ask_supplies(settings.addresses, run.remaining() - _KEPT)
    return found if "ups" in settings.model_fields_set else [one for one in found if not one.problem]


@hookimpl
def check(run: Run) -> Iterable[Problem]:
    """Find what would keep lastcall from hearing of an outage."""
    from lastcall_plugins.power.advice import problems

    return problems(run, run.options(PowerSettings))


@hookimpl
def post_check(run: Run, findings: CheckFindings) -> Iterable[Problem]:
    """Compare NUT's times with how long a stop takes, which is known only now."""
    from lastcall_plugins.power.advice import configured
    from lastcall_plugins.power.timing import timing_problems

    config, _ = configured(run)
    return timing_problems(run, config, findings.forecast) if config and findings.forecast else ()
