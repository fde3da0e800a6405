"""Whether NUT leaves a stop of this host the time that it usually takes."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from lastcall import Problem, Run, Severity, StopForecast
from lastcall_plugins.power.address import UpsAddress
from lastcall_plugins.power.advice import found
from lastcall_plugins.power.supplies import TIME, at_once
from lastcall_plugins.power.upsd import Upsd
from lastcall_plugins.power.upsmon import UpsmonConfig, commands_of, text_of

_EXITS_LATE = (2, 8, 5)  # from where on upsmon knows SHUTDOWNEXIT
_CUTS = re.compile(r"\bupsdrvctl\b|\bshutdown\.return\b|\bshutdown\.stayoff\b|\bload\.off\b")


@dataclass(frozen=True)
class UpsTimes:
    """What a UPS gives, in seconds: when it says that it is low, and when it cuts the power once it was told to."""

    name: str
    low: float | None = None
    delay: float | None = None
    hosts: int | None = None


def timing_problems(run: Run, config: UpsmonConfig, forecast: StopForecast) -> Iterator[Problem]:
    """What is too short."""
    needs = forecast.usual
    if needs is None:  # no run has seen any of these guests go
        return
    upses = [one.ups for one in config.feeding]
    times = at_once(upses, lambda ups: _times(ups, run.remaining() / 2), _silent, min(TIME, run.remaining() / 2))
    for one in times:
        yield from _of_ups(one, config, needs)
    if config.secondary:
        yield from _of_secondary(config, needs, nut_version(run))
    elif any((one.hosts or 0) > 1 for one in times) and config.seconds("HOSTSYNC") < needs:
        waits = config.seconds("HOSTSYNC")
        message = f"it waits {_told(waits)} for other hosts on this UPS; a stop usually takes {_told(needs)} here"
        yield found(f"{config.path}: HOSTSYNC", message, "more than the slowest of these hosts needs at worst")


def _of_ups(one: UpsTimes, config: UpsmonConfig, needs: float) -> Iterator[Problem]:
    if one.low is not None and 0 < one.low < needs:
        message = f"it is low with {_told(one.low)} left, and a stop of this host usually takes {_told(needs)}"
        remedy = f"override.battery.runtime.low = {needs * 2:.0f} in ups.conf, with ignorelb; or guests with `shed`"
        yield found(f"{one.name}: battery.runtime.low", message, remedy)
    cuts = any(_CUTS.search(text_of(command)) for command in commands_of(config, frozenset({"LOWBATT", "SHUTDOWN"})))
    if cuts and one.delay is not None and one.delay < needs:
        message = f"it is told to cut the power while guests stop, and does so after {_told(one.delay)}; "
        remedy = "leave that to NUT's own units, which do it last, by POWERDOWNFLAG"
        yield found(
            f"{one.name}: ups.delay.shutdown", f"{message}a stop usually takes {_told(needs)}", remedy, Severity.ERROR
        )


def _of_secondary(config: UpsmonConfig, needs: float, version: tuple[int, ...] | None) -> Iterator[Problem]:
    """It is logged in for so long; then the primary has the power cut."""
    exits = config.values.get("SHUTDOWNEXIT", "yes").lower()
    knows = version is None or version >= _EXITS_LATE
    stays = config.seconds("FINALDELAY")
    if "SHUTDOWNEXIT" in config.values and knows:
        if exits in {"no", "false", "off"}:
            return
        stays, begins = float(exits) if exits.isdecimal() else 0.0, True
    else:
        begins = "SHUTDOWN" in config.executed and "NOTIFYCMD" in config.values
    remedy = "contrib/ups/nut/secondary, as docs/ups.md says"
    if stays < needs:
        message = f"upsmon logs out after {_told(stays)}, and a stop of this host usually takes {_told(needs)}: "
        name = "SHUTDOWNEXIT" if version is not None and knows else "FINALDELAY"
        yield found(f"{config.path}: {name}", f"{message}the power may go under its guests", remedy, Severity.ERROR)
    elif not begins:
        message = "guests are asked by SHUTDOWNCMD only, with which upsmon logs out: the power may go under them"
        yield found(f"{config.path}: NOTIFYCMD", message, remedy, Severity.ERROR)


def nut_version(run: Run) -> tuple[int, ...] | None:
    """Of the upsmon that is installed."""
    try:
        told = subprocess.run(
            ["upsmon", "-V"], check=False, env=run.environment(), capture_output=True, text=True, errors="replace",
            timeout=3,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    seen = re.search(r"\b(\d{1,3})\.(\d{1,3})\.(\d{1,3})", told.stdout + told.stderr)
    return tuple(map(int, seen.groups())) if seen else None


def _times(ups: UpsAddress, seconds: float) -> UpsTimes:
    with Upsd(ups, min(TIME, seconds)) as upsd:
        low, delay = upsd.number("battery.runtime.low"), upsd.number("ups.delay.shutdown")
        return UpsTimes(ups.text, low, delay, upsd.logins())


def _silent(ups: UpsAddress, _why: str) -> UpsTimes:
    return UpsTimes(ups.text)


def _told(seconds: float) -> str:
    return f"{seconds:.0f} s"
