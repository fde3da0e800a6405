"""Who else stops guests when the host goes down: two such tools spoil each other's work."""

import re
from collections.abc import Iterator
from pathlib import Path

from lastcall.formats.reading import read_text
from lastcall.formats.values import value
from lastcall.systemd.systemctl import Systemctl
from lastcall.systemd.units import ALIAS, SERVICE

LIBVIRT_GUESTS = "libvirt-guests.service"
_LARGEST = 4 << 20  # bytes
_ENABLED = frozenset({"enabled", "enabled-runtime", "linked", "linked-runtime"})
# libvirt from 11.2 on can stop guests itself. It begins at logind's signal, before any unit is stopped.
_AUTO = re.compile(r"^\s*(auto_shutdown_(?:try_save|try_shutdown|poweroff))\s*=\s*\"?(\w+)", re.MULTILINE)
_SCRIPTED = re.compile(r"^Exec\w+=.*\b(?:virsh|stopvm)\b", re.MULTILINE)


@value
class OtherStopper:
    """One of them: its name, where it was found, what it does, and what to do about it."""

    name: str
    where: str
    message: str
    remedy: str


def find_other_stoppers(systemctl: Systemctl, root: Path = Path("/")) -> Iterator[OtherStopper]:
    """All of them. Raises SystemctlFailed."""
    if _is_live(systemctl, LIBVIRT_GUESTS):
        message = "stops or suspends guests when the host goes down, before or beside lastcall"
        yield OtherStopper("libvirt-guests", LIBVIRT_GUESTS, message, "`lastcall install` takes over from it")
    for unit in _scripted(systemctl, root):
        message = "hand-written, and stops guests when the host goes down"
        if not _is_live(systemctl, unit):
            message = f"hand-written and not enabled; it has a name of {SERVICE}"
        remedy = f"`lastcall install --replace {unit}` sets it aside without running it"
        yield OtherStopper("unit", unit, message, remedy)
    for path in sorted((root / "etc/libvirt").glob("*.conf")):
        try:
            found = _AUTO.findall(read_text(path, _LARGEST, errors="replace"))
        except OSError:
            continue
        for name, chosen in found:
            if chosen != "none":
                message = f"{name} is {chosen}: libvirt stops guests by itself when the host goes down"
                yield OtherStopper("libvirt", str(path), message, f'set {name} = "none", and restart the daemon')


def _scripted(systemctl: Systemctl, root: Path) -> Iterator[str]:
    """Hand-written units: the well-known one, and whatever runs virsh or stopvm.sh."""
    folder = root / "etc/systemd/system"
    for path in sorted(folder.glob("*.service")):
        if path.is_symlink() or path.name in {SERVICE, LIBVIRT_GUESTS}:
            continue
        try:
            text = read_text(path, _LARGEST, errors="replace")
        except OSError:
            continue
        if path.name == ALIAS or (_SCRIPTED.search(text) and _is_live(systemctl, path.name)):
            yield path.name


def _is_live(systemctl: Systemctl, unit: str) -> bool:
    """Whether it is enabled or active, and has something that it would do."""
    shown = systemctl.show(unit, "LoadState", "ActiveState", "UnitFileState", "ExecStart", "ExecStop")
    # Taken over, libvirt-guests stays enabled with an empty ExecStop: it is there, and does nothing.
    does = shown.get("ExecStop") or (shown.get("ExecStart") and unit != LIBVIRT_GUESTS)
    on = shown.get("ActiveState") in {"active", "activating"} or shown.get("UnitFileState") in _ENABLED
    return shown.get("LoadState") == "loaded" and bool(does) and on
