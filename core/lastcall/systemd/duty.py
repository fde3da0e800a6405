"""Whether systemd will call lastcall when the host stops, and if not, why: for whoever looks, in bounded time."""

from collections.abc import Iterator, Mapping

from lastcall.errors import Problem, Severity
from lastcall.systemd.rivals.other_stoppers import STATE, is_live, still_runs
from lastcall.systemd.rivals.unit_commands import PROPERTIES
from lastcall.systemd.systemctl import Systemctl, SystemctlFailed
from lastcall.systemd.units import LIBVIRT_GUESTS, SERVICE, STAMP

_LEFT = "ActiveExitTimestampMonotonic"
_INSTALL = "`lastcall install`"


def doubts_of_duty(systemctl: Systemctl, *, stamped: bool) -> Iterator[Problem]:
    """Why the next host stop is not served, or may be served by somebody else; nothing where all is well.

    `stamped`: lastcall was started in this boot. What systemd does not tell is said to be unknown.
    """
    try:
        units, refused = systemctl.show_all((SERVICE, LIBVIRT_GUESTS), *STATE, _LEFT, *PROPERTIES)
    except SystemctlFailed as error:
        yield Problem(what="systemd", where=SERVICE, message=str(error), severity=Severity.WARNING)
        return
    shown = {one.get("Id", ""): one for one in units}
    for unit, why in refused.items():
        yield Problem(what="systemd", where=unit, message=why, severity=Severity.WARNING)
    if SERVICE in shown:
        yield from _own(shown[SERVICE], stamped=stamped)
    theirs = shown.get(LIBVIRT_GUESTS, {})
    if is_live(theirs) and still_runs(theirs):
        message = "stops guests when the host goes down, before or beside lastcall"
        remedy = "`lastcall install --take-over` takes over from it"
        yield Problem(what="rival", where=LIBVIRT_GUESTS, message=message, remedy=remedy, severity=Severity.WARNING)


def _own(shown: Mapping[str, str], *, stamped: bool) -> Iterator[Problem]:
    load, active, file = (shown.get(name, "") for name in ("LoadState", "ActiveState", "UnitFileState"))
    if load == "masked" or file.startswith("masked"):
        yield _wrong("is masked", f"`systemctl unmask {SERVICE}`, then {_INSTALL}")
    elif load == "not-found":
        yield _wrong("is not installed", _INSTALL)
    elif load != "loaded":
        yield _wrong(f"cannot be loaded ({load})", f"`systemctl status {SERVICE}`")
    elif active != "active":
        enabled = file.startswith("enabled")
        yield _wrong(_inactive(shown, enabled=enabled), f"`systemctl start {SERVICE}`" if enabled else _INSTALL)
    elif not stamped:
        yield _wrong("is active, and could not note that it is", f"`systemctl status {STAMP}`")
    elif not file.startswith("enabled"):
        message = f"is {file or 'not enabled'}: it does not serve the next boot"
        yield Problem(
            what="unit", where=SERVICE, message=message, remedy=f"`systemctl enable {SERVICE}`",
            severity=Severity.WARNING,
        )  # fmt: skip


def _inactive(shown: Mapping[str, str], *, enabled: bool) -> str:
    if not enabled:
        return "is disabled" if shown.get("UnitFileState") == "disabled" else "is not enabled"
    if shown.get("ActiveState") != "inactive":
        return f"is {shown.get('ActiveState')}"
    # systemd counts from the boot: a moment at which it has left means that it was there.
    return "was stopped by hand" if shown.get(_LEFT, "0") not in {"", "0"} else "was not started in this boot"


def _wrong(message: str, remedy: str) -> Problem:
    return Problem(what="unit", where=SERVICE, message=message, remedy=remedy)
