"""Units of the administrator's that stop guests, moved away without being run; and put back."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from lastcall.errors import UsageError
from lastcall.installation.steps import InstallStep
from lastcall.systemd.rivals.unit_commands import PROPERTIES, commands_of
from lastcall.systemd.systemctl import Systemctl, SystemctlFailed
from lastcall.systemd.units import ALIAS, LIBVIRT_GUESTS, OURS, SERVICE, UNITS

SET_ASIDE = Path("var/lib/lastcall/set-aside")
# Whom a stop would take along.
_BOUND = ("RequiredBy", "BoundBy", "ConsistsOf", "PropagatesStopTo")


def set_aside_steps(names: Iterable[str], systemctl: Systemctl, root: Path) -> Iterator[InstallStep]:
    """Move each away. Raises UsageError for what cannot be; what was set aside before needs nothing any more."""
    for name in dict.fromkeys(unit_name(name) for name in names):
        path = root / UNITS / name
        if name in OURS:
            raise UsageError(f"{name} is lastcall's own", "`lastcall uninstall` takes it away")
        if name == LIBVIRT_GUESTS:
            raise UsageError(f"{name} is not set aside", "leave it out: `lastcall install` takes over from it anyway")
        if _is_somebodys(path):
            yield _set_aside(name, systemctl, root)
        elif not os.path.lexists(root / SET_ASIDE / name):
            raise UsageError(f"there is no {path} to set aside", _elsewhere(name, systemctl))


def put_back_steps(root: Path) -> Iterator[InstallStep]:
    """Put everything back where nothing has taken its place."""
    for kept in sorted((root / SET_ASIDE).glob("*")):
        target = root / UNITS / kept.name
        if kept.suffix not in {".service", ".d"}:
            continue  # an older one of the same name
        if _is_somebodys(target):
            yield InstallStep(f"leave {kept} there, as there is a {target}", lambda: None)
        else:
            yield InstallStep(f"move {kept} back to {target} (not enabled)", lambda kept=kept: _put_back(kept, root))


def _set_aside(unit: str, systemctl: Systemctl, root: Path) -> InstallStep:
    """A unit whose file is gone has nothing to run when it is stopped; that is what disabling it would do."""
    folder, path = root / SET_ASIDE, root / UNITS / unit

    def do() -> None:
        running = _instances(unit, systemctl)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for kind in ("wants", "requires", "upholds"):
            for link in path.parent.glob(f"*.{kind}/{unit.replace('@.', '@*.')}"):
                link.unlink()
        # With its drop-ins: those of a name of ours would become ours.
        for name in (unit, f"{unit}.d"):
            if os.path.lexists(path.parent / name):
                _make_room(folder / name)
                (path.parent / name).rename(folder / name)
        systemctl.tell("daemon-reload")
        for one in running:
            _stop_if_harmless(one, systemctl)

    return InstallStep(f"move {path} to {folder / unit}, without running it", do)


def _stop_if_harmless(unit: str, systemctl: Systemctl) -> None:
    """Only where systemd has forgotten the commands: a copy elsewhere in its path would stop every guest now."""
    shown = systemctl.show(unit, "MainPID", *PROPERTIES, *_BOUND)
    process = shown.get("MainPID") or "0"
    if commands_of(shown) or process != "0" or any(shown.get(name) for name in _BOUND):
        return
    try:
        systemctl.tell("stop", unit)
    except SystemctlFailed as error:
        if "not loaded" not in str(error) and "does not exist" not in str(error):
            raise


def _instances(unit: str, systemctl: Systemctl) -> list[str]:
    if "@." not in unit:
        return [unit]
    pattern = unit.replace("@.", "@*.")
    text = systemctl.ask("list-units", "--all", "--plain", "--no-legend", "--full", pattern)
    return [line.split()[0] for line in text.splitlines() if line.split()]


def _make_room(kept: Path) -> None:
    """What was set aside earlier stays, though it is not what is put back."""
    if os.path.lexists(kept):
        number = next(number for number in range(1, 10000) if not os.path.lexists(f"{kept}.{number}"))
        kept.rename(f"{kept}.{number}")


def _put_back(kept: Path, root: Path) -> None:
    target = root / UNITS / kept.name
    target.parent.mkdir(parents=True, exist_ok=True)
    if not _is_somebodys(target):
        kept.rename(target)


def unit_name(told: str) -> str:
    """As systemctl takes it: `graceful-shutdown` is one, too."""
    name = Path(told).name
    return name if name.endswith(".service") else f"{name}.service"


def _is_somebodys(path: Path) -> bool:
    """Whether there is anything but the other name of lastcall.service."""
    ours = path.name == ALIAS and path.is_symlink() and path.readlink().name == SERVICE
    return os.path.lexists(path) and not ours


def _elsewhere(name: str, systemctl: Systemctl) -> str:
    template = name.partition("@")[0] + "@.service" if "@" in name and "@." not in name else None
    if template:
        return f"it is made of a template: `--replace {template}`"
    file = systemctl.show(name, "FragmentPath").get("FragmentPath") if "@." not in name else None
    if file:
        return f"its file is {file}: `systemctl mask {name}` has it do nothing, without running it"
    return "look at the name: `systemctl list-unit-files --type=service`"
