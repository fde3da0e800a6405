"""`units.after`: the drop-ins that order our units behind others, and whether that can be and is so."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from lastcall.errors import Problem, Severity
from lastcall.systemd.systemctl import Systemctl
from lastcall.systemd.units import OURS, RESTORE, SERVICE, UNITS

_WHERE = "units.after"
_MOST = 1000  # units that are looked at; a large host has some hundred
_LEVELS = 20
_ORDERED = (SERVICE, RESTORE)


def after_drop_ins(names: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """(path, text) of the drop-ins; "" where there are to be none."""
    # Beside the unit and not in it: a package's unit is nobody else's to write.
    lines = "".join(f"After={name}\n" for name in names)
    text = (
        f"# Written by `lastcall install`, as `{_WHERE}` in the configuration says.\n[Unit]\n{lines}" if lines else ""
    )
    for unit in _ORDERED:
        yield UNITS / f"{unit}.d" / "after.conf", text


def check_after(systemctl: Systemctl, names: Sequence[str]) -> Iterator[Problem]:
    """What speaks against it: a circle, which systemd would cut at a place of its choice; a unit that is not there;
    and an order that is not installed yet. Raises SystemctlFailed.
    """
    if not names:
        return
    behind = _behind_ours(systemctl)
    ours = systemctl.show(SERVICE, "After", "LoadState")
    told = {unit["Id"]: unit for unit in systemctl.show_all(names, "LoadState")[0]}
    for name in names:
        if name in behind:
            message = f"{name} is started after {SERVICE} itself: a circle, out of which systemd takes one of its units"
            yield _problem(message, f"take it out of {_WHERE}, or {SERVICE} out of its After=", Severity.ERROR)
        elif told.get(name, {}).get("LoadState") == "not-found":
            yield _problem(f"there is no {name} on this host", "`systemctl list-units --all` has its name")
        elif ours.get("LoadState") == "loaded" and name not in ours.get("After", "").split():
            yield _problem(f"{SERVICE} is not ordered after {name} yet", "`lastcall install`")


def _behind_ours(systemctl: Systemctl) -> set[str]:
    """Every unit that is started after one of ours, through others, too; ours among them."""
    behind, level = set[str](OURS), list[str](_ORDERED)
    for _ in range(_LEVELS):
        shown, _refused = systemctl.show_all(level, "Before")
        level = sorted({name for unit in shown for name in unit.get("Before", "").split()} - behind)
        if not level or len(behind) > _MOST:
            break
        behind.update(level)
    return behind


def _problem(message: str, remedy: str, severity: Severity = Severity.WARNING) -> Problem:
    return Problem(what="unit", where=_WHERE, message=message, remedy=remedy, severity=severity)
