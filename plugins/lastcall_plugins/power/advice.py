"""What `lastcall check` says of UPSes and of NUT's configuration."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from lastcall import LastcallError, Problem, Run, Severity
from lastcall_plugins.power.settings import PowerSettings
from lastcall_plugins.power.supplies import ask_supplies
from lastcall_plugins.power.upsmon import UpsmonConfig, commands_of, find_folder, read_upsmon, text_of

_DOWN = frozenset({"LOWBATT", "FSD", "SHUTDOWN"})
_TOLD = re.compile(r"\blastcall(?![-\w])[^\n]*\b(power|announce)\b")
_PAGE = "docs/ups.md"


def configured(run: Run) -> tuple[UpsmonConfig | None, list[Problem]]:
    """How upsmon is set up; None where it watches no UPS."""
    folder = find_folder(run.environment().get("NUT_CONFPATH"))
    if folder is None:
        return None, []
    try:
        config = read_upsmon(folder)
    except LastcallError as error:
        return None, [found(str(folder / "upsmon.conf"), str(error), error.remedy or "run the check as root")]
    return (config if config.feeding else None), []


def problems(run: Run, settings: PowerSettings) -> Iterator[Problem]:
    """What can be seen without knowing how long a stop takes."""
    config, unread = configured(run)
    yield from unread
    if config:
        yield from _of_config(config, settings)
    if config or run.has_options():
        for one in ask_supplies(settings.addresses, run.remaining() / 2):
            if one.word is None:
                remedy = f"upsc {one.name}; without an answer, 90 s are counted on when its battery is low"
                yield found(one.name, f"the UPS does not answer: {one.problem}", remedy)


def _of_config(config: UpsmonConfig, settings: PowerSettings) -> Iterator[Problem]:
    if not any(_TOLD.search(text_of(command)) for command in commands_of(config, _DOWN)):
        message = "it tells lastcall nothing: a stop is planned for more time than the battery may have"
        yield found(f"{config.path}: SHUTDOWNCMD", message, f"contrib/ups/nut/upsmon.conf, as {_PAGE} says")
    if config.secondary and settings.power_returns == "reboot":
        message = "this host is a secondary: its primary may cut the power while it reboots, and no flag here tells"
        yield found("plugins.power.power_returns", message, "stay")
    watched = {(one.ups.name, _host(one.ups.host), one.ups.port): one.ups.text for one in config.feeding}
    asked = {(one.name, _host(one.host), one.port): one.text for one in settings.addresses}
    if missing := _names(watched.keys() - asked.keys(), watched):
        names = ", ".join(watched.values())
        yield found("plugins.power.ups", f"upsmon lives by {missing}, which lastcall does not ask", f"ups: [{names}]")
    if other := _names(asked.keys() - watched.keys(), asked):
        remedy = f"take it out, or a MONITOR line in {config.path}"
        yield found("plugins.power.ups", f"upsmon does not know {other}, and never goes down because of it", remedy)
    needed = config.seconds("MINSUPPLIES")
    if all(one.feeds == 1 for one in config.feeding) and needed != settings.supplies:
        message = f"upsmon needs {needed:g} (MINSUPPLIES), and lastcall {settings.supplies}"
        yield found("plugins.power.supplies", message, "the same number in both")


def _names(keys: Iterable[tuple[str, str, int]], named: Mapping[tuple[str, str, int], str]) -> str:
    return ", ".join(sorted(named[key] for key in keys))


def _host(name: str) -> str:
    return "localhost" if name in {"127.0.0.1", "::1"} else name.lower()


def found(where: str | Path, message: str, remedy: str, severity: Severity = Severity.WARNING) -> Problem:
    """A finding."""
    return Problem(what="ups", where=str(where), message=message, remedy=remedy, severity=severity)
