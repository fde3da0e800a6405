"""Who else stops guests when the host goes down, or at other times: two such tools spoil each other's work."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from lastcall.errors import Severity
from lastcall.formats.bounded_text import first_names
from lastcall.formats.reading import read_text
from lastcall.formats.values import value
from lastcall.imports.auto_shutdown import auto_shutdown
from lastcall.systemd.rivals.stop_commands import find_stop
from lastcall.systemd.rivals.unit_commands import AT_STOP, PROPERTIES, UnitCommand, commands_of, files_of, origin_of
from lastcall.systemd.systemctl import Systemctl, SystemctlFailed
from lastcall.systemd.units import ALIAS, GUESTS_COMMAND, GUESTS_DROP_IN, LIBVIRT_GUESTS, OURS, SERVICE, UNITS

LIBVIRT = "libvirt"
_NOT_OTHERS = frozenset({*OURS, LIBVIRT_GUESTS})
_PATH = ("usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin")  # where systemd finds programs
FEW = 3  # units that are told of many
_LARGEST_SCRIPT = 1 << 20  # bytes; what is larger is a program
_ACTIVE = frozenset({"active", "activating", "reloading"})
_ENABLED = frozenset({"enabled", "enabled-runtime"})
_TRIGGERS = "TriggeredBy"
# Whoever is wanted by somebody is as good as enabled: links in /usr, what generators make of /etc/init.d.
_WANTED = ("WantedBy", "RequiredBy", "UpheldBy", "BoundBy")
STATE = ("LoadState", "ActiveState", "UnitFileState", _TRIGGERS, *_WANTED)
# Not loaded before the host stops, and neither is what they want.
_HOST_STOP = ("shutdown.target", "poweroff.target", "reboot.target", "halt.target", "kexec.target", "final.target")


@value
class OtherStopper:
    """One of them: its name, where it was found, what it does, and what to do about it."""

    name: str
    where: str
    message: str
    remedy: str
    severity: Severity = Severity.WARNING


def find_other_stoppers(systemctl: Systemctl, root: Path = Path("/")) -> Iterator[OtherStopper]:
    """All of them. Raises SystemctlFailed where systemd tells nothing of libvirt-guests."""
    yield from _libvirt_guests(systemctl, root)
    try:
        yield from _units(systemctl, root)
    except SystemctlFailed as error:
        # What is a warning at most is no reason to fail.
        message = f"whether units of others stop guests is not known: {error}"
        yield OtherStopper("systemd", "systemd", message, "`lastcall check` asks again")
    for one in auto_shutdown(root):
        message = f"{one}: libvirt stops guests by itself when the host goes down"
        yield OtherStopper(LIBVIRT, str(one.path), message, one.remedy, Severity.ERROR)


def alias_is_taken(systemctl: Systemctl) -> bool:
    """Whether somebody else has a unit of the name that lastcall.service has beside its own."""
    shown = systemctl.show(ALIAS, "Id", "LoadState")
    return shown.get("LoadState", "not-found") != "not-found" and shown.get("Id") != SERVICE


def still_runs(shown: Mapping[str, str], root: Path = Path("/")) -> list[str]:
    """What libvirt-guests' unit would run if it were started or stopped now, and which file says so."""
    told: list[str] = []
    for command in commands_of(shown):
        if command.key != "ExecStart" or command.words != GUESTS_COMMAND:
            origin = origin_of(command, shown, root)
            told.append(f"{command} ({origin})" if origin else str(command))
    return told


def _libvirt_guests(systemctl: Systemctl, root: Path) -> Iterator[OtherStopper]:
    shown = systemctl.show(LIBVIRT_GUESTS, *STATE, *PROPERTIES)
    standing = still_runs(shown, root)
    if not standing or not is_live(shown):
        return
    message = "stops or suspends guests when the host goes down, before or beside lastcall"
    remedy = "`lastcall install --take-over` takes over from it"
    if root / GUESTS_DROP_IN in files_of(shown, root):
        message = f"is not harmless, though lastcall has taken over from it; it still runs {', '.join(standing)}"
        remedy = "take that out of the file named there, `systemctl daemon-reload`, and `lastcall install` again"
    yield OtherStopper("libvirt-guests", LIBVIRT_GUESTS, message, remedy, Severity.ERROR)


def _units(systemctl: Systemctl, root: Path) -> Iterator[OtherStopper]:
    at_host_stop = _wanted_at_host_stop(systemctl)
    names = _loaded(systemctl) | _enabled(systemctl) | at_host_stop
    units, refused = systemctl.show_all(sorted(names), *STATE, *PROPERTIES)
    by_where: dict[str, list[OtherStopper]] = {}
    # By their own names: one unit may have several.
    for unit, shown in sorted({shown.get("Id", ""): shown for shown in units}.items()):
        ends_with_host = unit in at_host_stop
        if unit not in _NOT_OTHERS and (ends_with_host or is_live(shown)):
            stopper = _stopper(shown, root, at_host_stop=ends_with_host)
            if stopper:
                by_where.setdefault(stopper.where, []).append(stopper)
    for stoppers in by_where.values():
        yield _of_all(stoppers)
    if ALIAS not in by_where and alias_is_taken(systemctl):
        message = f"has a name of {SERVICE}, which goes without it"
        yield OtherStopper("unit", ALIAS, message, f"`lastcall install --replace {ALIAS}` sets it aside")
    for unit, why in refused.items():
        yield OtherStopper("unit", unit, f"whether it stops guests is not known: {why}", f"`systemctl status {unit}`")


def _of_all(stoppers: list[OtherStopper]) -> OtherStopper:
    """Of a template there may be hundreds of instances, for one reason."""
    first = stoppers[0]
    if first.name == first.where:
        return OtherStopper("unit", first.where, first.message, first.remedy)
    instances = first_names([one.name for one in stoppers], FEW)
    return OtherStopper("unit", first.where, f"{first.message} ({instances})", first.remedy)


def _loaded(systemctl: Systemctl) -> set[str]:
    """Everything that systemd has in its memory, which is what is active, enabled, or wanted by such a unit."""
    text = systemctl.ask("list-units", "--all", "--plain", "--no-legend", "--full", "--type=service")
    return {line.split()[0] for line in text.splitlines() if line.split()}


def _enabled(systemctl: Systemctl) -> set[str]:
    """What else is to be started some time. Of a template only its instances ever run, and those are loaded."""
    text = systemctl.ask("list-unit-files", "--plain", "--no-legend", "--full", "--type=service")
    rows = (line.split() for line in text.splitlines())
    return {row[0] for row in rows if len(row) > 1 and row[1] in _ENABLED and "@." not in row[0]}


def _wanted_at_host_stop(systemctl: Systemctl) -> set[str]:
    targets, _ = systemctl.show_all(_HOST_STOP, "Wants", "Requires")
    names = (name for target in targets for key in ("Wants", "Requires") for name in target.get(key, "").split())
    # systemd's own units, which end the host, are none that stops guests.
    return {name for name in names if name.endswith(".service") and not name.startswith("systemd-")}


def _stopper(shown: Mapping[str, str], root: Path, *, at_host_stop: bool) -> OtherStopper | None:
    """What a unit does to guests, by the first of its commands that does something."""
    for command in sorted(commands_of(shown), key=lambda one: one.key not in AT_STOP):
        if what := _what_stops(command, root):
            where, remedy = _remedy(command, shown, root)
            message = f"{command.key} {what}: {_when(command, shown, at_host_stop=at_host_stop)}"
            return OtherStopper(shown.get("Id", ""), where, message, remedy)
    return None


def _what_stops(command: UnitCommand, root: Path) -> str | None:
    if found := find_stop(command.words):
        return f"runs `{found}`"
    # One look into what it names: a script, or a file that tells a program what to do.
    for script in _named_files(command, root):
        try:
            text = read_text(script, _LARGEST_SCRIPT, errors="replace")
        except OSError:
            continue
        if "\0" not in text and (found := find_stop(text)):
            return f"runs `{found}` by /{script.relative_to(root)}"
    return None


def _named_files(command: UnitCommand, root: Path) -> Iterator[Path]:
    words = dict.fromkeys([command.program, *re.split(r"[\s;&|()'\"`=]+", command.words)])
    for word in words:
        if word.startswith("/"):
            yield root / word.lstrip("/")
        elif word == command.program or word == command.words.partition(" ")[0]:
            yield from (root / folder / word for folder in _PATH if (root / folder / word).is_file())


def _when(command: UnitCommand, shown: Mapping[str, str], *, at_host_stop: bool) -> str:
    if command.key in AT_STOP or at_host_stop:
        return "guests are stopped beside lastcall when the host goes down"
    if triggers := shown.get(_TRIGGERS, "").split():
        return f"guests are stopped whenever {first_names(triggers, FEW)} triggers it"
    return "guests are stopped whenever it is started or reloaded"


def _remedy(command: UnitCommand, shown: Mapping[str, str], root: Path) -> tuple[str, str]:
    """The unit, or its template, and what helps."""
    unit = shown.get("Id", "")
    origin = origin_of(command, shown, root)
    file = next(iter(files_of(shown, root)), None)
    triggers = shown.get(_TRIGGERS, "").split()
    where = file.name if file and "@." in file.name else unit
    if triggers and command.key not in AT_STOP:
        return where, f"if that is not meant: `systemctl disable --now {' '.join(triggers)}`"
    if origin and origin != file:
        return where, f"take it out of {origin}, and `systemctl daemon-reload`"
    if file and file.parent == root / UNITS:
        return where, f"`lastcall install --replace {file.name}` sets it aside without running it"
    return where, f"`systemctl mask {where}`, which does not run it, if lastcall is to do that"


def is_live(shown: Mapping[str, str]) -> bool:
    """Whether it runs, or will be started by something."""
    on = shown.get("ActiveState") in _ACTIVE or shown.get("UnitFileState") in _ENABLED
    return shown.get("LoadState") == "loaded" and (on or any(shown.get(name) for name in (_TRIGGERS, *_WANTED)))
