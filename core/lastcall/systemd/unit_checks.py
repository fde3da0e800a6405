"""Would this host's shutdown call lastcall, and let it finish? For `lastcall check`."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from lastcall.config.settings import Settings
from lastcall.errors import Problem, Severity
from lastcall.formats.quantities import format_duration
from lastcall.formats.reading import read_text
from lastcall.systemd.rivals.other_stoppers import alias_is_taken, find_other_stoppers
from lastcall.systemd.site_units.after import check_after
from lastcall.systemd.systemctl import Systemctl, SystemctlFailed
from lastcall.systemd.units import (
    JOB_TARGETS,
    LAST_LINE,
    SERVICE,
    UNITS,
    Whereabouts,
    last_line,
    longest_deadline,
    program_path,
)

_INSTALL = "lastcall install"
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # that of a systemd unit
_LARGEST = 1 << 20  # bytes; ours have some thousand
_SPAN = re.compile(r"([\d.]+)(us|ms|s|min|h|d|w|month|y)")
_UNITS = {
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1,
    "min": 60,
    "h": 3600,
    "d": 86400,
    "w": 604800,
    "month": 2629800,
    "y": 31557600,
}


def check_units(systemctl: Systemctl, settings: Settings, root: Path = Path("/")) -> Iterator[Problem]:
    """What stands in the way. What systemd does not tell costs only the part that asked for it."""
    parts = (
        _rivals(systemctl, root), _unit(systemctl, settings, root), _job_timeouts(systemctl, settings),
        check_after(systemctl, settings.units.after),
    )  # fmt: skip
    for part in parts:
        try:
            yield from part
        except SystemctlFailed as error:
            yield Problem(what="systemd", where=SERVICE, message=str(error), severity=Severity.WARNING)


def _rivals(systemctl: Systemctl, root: Path) -> Iterator[Problem]:
    for other in find_other_stoppers(systemctl, root):
        yield Problem(
            what="rival", where=other.where, message=other.message, remedy=other.remedy, severity=other.severity
        )


def _unit(systemctl: Systemctl, settings: Settings, root: Path) -> Iterator[Problem]:
    shown = systemctl.show(SERVICE, "LoadState", "ActiveState", "UnitFileState", "NeedDaemonReload", "FragmentPath")
    if shown.get("LoadState") != "loaded":
        yield _wrong("is not installed: a shutdown of this host stops no guest", f"`{_INSTALL}`")
        return
    active, enabled = shown.get("ActiveState") == "active", shown.get("UnitFileState", "").startswith("enabled")
    # systemd runs ExecStop only of a unit whose start succeeded: enabled alone serves no poweroff.
    if not active:
        remedy = f"`systemctl start {SERVICE}`" if enabled else f"`{_INSTALL}`"
        yield _wrong(f"is {shown.get('ActiveState')}: the next shutdown stops no guest", remedy)
    if not enabled:
        # One that a package has brought is neither: to enable it would leave libvirt-guests on duty beside it.
        yield _wrong(
            "is not enabled: it does not serve the next boot",
            f"`systemctl enable {SERVICE}`" if active else f"`{_INSTALL}`",
        )
    if shown.get("NeedDaemonReload") == "yes":
        yield _doubt("was changed since systemd read it", "`systemctl daemon-reload`")
    if shown.get("FragmentPath") == str(root / UNITS / SERVICE) and not _is_current(systemctl, settings, root):
        yield _doubt("is not what this version of lastcall would install", f"`{_INSTALL}`")
    if shutil.which("virsh", path=_SYSTEM_PATH) is None:
        message = "there is no virsh: where lastcall itself cannot run, nobody asks the guests"
        yield _doubt(message, "`apt install libvirt-clients`, or `dnf install libvirt-client`")


def _is_current(systemctl: Systemctl, settings: Settings, root: Path) -> bool:
    paths, alias = settings.paths, not alias_is_taken(systemctl)
    wanted = Whereabouts(program_path(), paths.state, paths.run, alias=alias).units()
    there = all(_text(root / UNITS / name) == text for name, text in wanted.items())
    return there and _text(root / LAST_LINE) == last_line()


def _text(path: Path) -> str:
    try:
        return read_text(path, _LARGEST)
    except (OSError, UnicodeDecodeError):
        return ""


def _job_timeouts(systemctl: Systemctl, settings: Settings) -> Iterator[Problem]:
    if settings.shutdown.deadline is None:
        message = "none is good for runs by hand only: when the host stops, 10min is used"
        yield Problem(what="config", where="shutdown.deadline", message=message, remedy="set it")
    deadline = longest_deadline(settings)
    for target in JOB_TARGETS:
        limit = seconds(systemctl.show(target, "JobTimeoutUSec").get("JobTimeoutUSec", "infinity"))
        # poweroff.target and reboot.target come with JobTimeoutSec=30min, and what follows is a forced poweroff.
        if limit is not None and limit <= deadline:
            message = f"systemd forces the host off after {format_duration(limit)}, before the run's deadline of "
            message += format_duration(deadline)
            yield Problem(
                what="systemd",
                where=target,
                message=message,
                remedy=f"`{_INSTALL}` raises it",
                severity=Severity.WARNING,
            )


def seconds(span: str) -> float | None:
    """A time span as `systemctl show` prints it, such as `1h 30min`; None for `infinity`."""
    parts = _SPAN.findall(span)
    return sum(float(number) * _UNITS[unit] for number, unit in parts) if parts else None


def _wrong(message: str, remedy: str) -> Problem:
    return Problem(what="unit", where=SERVICE, message=message, remedy=remedy)


def _doubt(message: str, remedy: str) -> Problem:
    return Problem(what="unit", where=SERVICE, message=message, remedy=remedy, severity=Severity.WARNING)
