"""Whom a libvirt daemon of this host has stopped by itself as the host goes down, by the evidence that it leaves."""

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from lastcall.api.guests import Ended, Guest
from lastcall.formats.reading import open_plain
from lastcall.formats.values import value
from lastcall.hypervisor.starting.needs import is_here
from lastcall.imports.auto_shutdown import AutoShutdown, auto_shutdown, inhibit_delay

SLACK = 1.0  # seconds from logind's word to ours
_TAIL = 1 << 16  # bytes of a log; a start of QEMU has some thousand, and a few lines follow at its end
_DAEMONS = ("libvirtd.pid", "virtqemud.pid")
_LOGS = "var/log/libvirt/qemu"
_END = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\+0000): shutting down, reason=(\w+)", re.MULTILINE)
_BY_SETTING = {
    "auto_shutdown_try_save": ("saved", Ended.SAVED),
    "auto_shutdown_try_shutdown": ("shutdown", Ended.SHUTDOWN),
    "auto_shutdown_poweroff": ("destroyed", Ended.DESTROYED),
}
_OF_PERSISTENT = frozenset({"persistent", "all"})  # a transient one is forgotten, and leaves no evidence


@value
class Trace:
    """A guest that by QEMU's log ended in a way that is set, and in time; libvirt's word has to agree: `ended`."""

    guest: Guest
    ended: Ended
    setting: AutoShutdown


def may_stop_guests(uri: str) -> bool:
    """Whether a connection's daemon is one that has such settings, and whose logs are on this host."""
    parts = urlsplit(uri)
    return parts.scheme.partition("+")[0] == "qemu" and parts.path == "/system" and is_here(uri)


def in_force(root: Path = Path("/")) -> list[AutoShutdown]:
    """The settings that the daemon has read: one that was written after it was started does nothing yet. Blocks."""
    started = [path.stat().st_mtime for name in _DAEMONS if (path := root / "run" / name).exists()]
    return [one for one in auto_shutdown(root) if any(one.path.stat().st_mtime <= at for at in started)]


def traces(
    guests: Sequence[Guest], settings: Sequence[AutoShutdown], since: float, root: Path = Path("/")
) -> list[Trace]:
    """Of guests that are off, those that ended by a setting since logind's signal for this host stop. Blocks.

    `since`: seconds since the run began, which is after that signal by at most what logind waits.
    """
    earliest = datetime.now(UTC).timestamp() - since - inhibit_delay(root) - SLACK
    by_reason = {
        _BY_SETTING[one.name][0]: (_BY_SETTING[one.name][1], one) for one in settings if one.chosen in _OF_PERSISTENT
    }
    found: list[Trace] = []
    for guest in guests:
        at, reason = _last_end(root / _LOGS / f"{guest.name}.log")
        if at >= earliest and reason in by_reason:
            found.append(Trace(guest, *by_reason[reason]))
    return found


def _last_end(log: Path) -> tuple[float, str]:
    """When a guest ended last (seconds since 1970), and how; nothing is known of one without a log."""
    try:
        descriptor = open_plain(log)
        try:
            text = os.pread(descriptor, _TAIL, max(0, os.fstat(descriptor).st_size - _TAIL))
        finally:
            os.close(descriptor)
        *_, (at, reason) = [("", ""), *_END.findall(text.decode(errors="replace"))]
        return (datetime.fromisoformat(at).timestamp(), reason) if at else (0.0, "")
    except (OSError, ValueError):
        return 0.0, ""
