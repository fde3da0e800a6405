"""libvirt-guests' unit: has nothing left to run while lastcall is on duty, without ever being stopped for it."""

from collections.abc import Iterator
from pathlib import Path

from lastcall.errors import LastcallError
from lastcall.formats.bounded_text import bounded
from lastcall.formats.reading import read_text
from lastcall.installation.steps import InstallStep, remove_step, write_step
from lastcall.systemd.rivals.other_stoppers import still_runs
from lastcall.systemd.rivals.unit_commands import EXEC, PROPERTIES, files_of, settings_in
from lastcall.systemd.systemctl import Systemctl
from lastcall.systemd.units import GUESTS_DROP_IN, GUESTS_DROP_IN_TEXT, LIBVIRT_GUESTS, UNITS

_OURS = GUESTS_DROP_IN_TEXT.partition(",")[0]
_LONGEST = 500  # characters of what a file sets
_LARGEST = 1 << 16  # bytes; ours has some hundred


class NotHarmless(LastcallError):
    """What libvirt-guests does at a stop still stands, whatever was written."""


def disarm_steps(systemctl: Systemctl, root: Path) -> Iterator[InstallStep]:
    """Take its commands away, and see whether systemd agrees; say what its administrator has beside it."""
    path = root / GUESTS_DROP_IN
    yield write_step(path, GUESTS_DROP_IN_TEXT, f"so that {LIBVIRT_GUESTS} does nothing any more; it is not stopped")
    for other in _administrators(systemctl, root):
        yield InstallStep(f"leave {other} as it is; {_told(other, path)}", _none)
    yield InstallStep("systemctl daemon-reload", lambda: systemctl.tell("daemon-reload"))
    yield InstallStep(f"ask systemd whether {LIBVIRT_GUESTS} is harmless", lambda: _require_harmless(systemctl, root))


def rearm_steps(root: Path) -> Iterator[InstallStep]:
    """Take away what was written; nothing where nothing was."""
    for path in sorted((root / GUESTS_DROP_IN).parent.glob("*.conf")):
        # By what it says: whoever has renamed it, so that it is read last, gets his libvirt-guests back all the same.
        if _is_ours(path):
            yield remove_step(path, f"and give the guests back to {LIBVIRT_GUESTS}")


def is_disarmed(root: Path) -> bool:
    """Whether lastcall has taken over from it, earlier or just now."""
    return (root / GUESTS_DROP_IN).exists()


def _administrators(systemctl: Systemctl, root: Path) -> list[Path]:
    """Drop-ins of the administrator's, or his own copy of the unit."""
    files = files_of(systemctl.show(LIBVIRT_GUESTS, *PROPERTIES), root)
    own = [path for path in files if path.parent == root / UNITS or path.suffix == ".conf"]
    # systemd knows of files that are gone until it reads anew, which comes next.
    return [path for path in own if path != root / GUESTS_DROP_IN and path.exists()]


def _told(path: Path, ours: Path) -> str:
    """What a drop-in, or the commands of a whole unit, would have it do, and whether that counts."""
    drop_in = path.suffix == ".conf"
    settings = [f"{name}={said}" for name, said in settings_in(path) if drop_in or name in EXEC]
    counts = "no command of it counts" if path.name < ours.name else f"it counts more than {ours}"
    return f"it says {bounded('; '.join(settings), _LONGEST) or 'nothing'}, and {counts}"


def _require_harmless(systemctl: Systemctl, root: Path) -> None:
    shown = systemctl.show(LIBVIRT_GUESTS, "MainPID", *PROPERTIES)
    standing = still_runs(shown, root)
    if standing:
        later = f"a file that is read after {GUESTS_DROP_IN.name} counts more: take that out of it, or rename it"
        raise NotHarmless(
            f"lastcall is on duty, but {LIBVIRT_GUESTS} is not harmless; it still runs {', '.join(standing)}",
            f"{later}; then `systemctl daemon-reload`, and `lastcall install` again. Do not stop it before",
        )
    process = shown.get("MainPID", "0")
    if process not in {"", "0"}:
        raise NotHarmless(
            f"lastcall is on duty, but {LIBVIRT_GUESTS} has a process, {process}, which is told to end with the host",
            f"see what it does then: `systemctl status {LIBVIRT_GUESTS}`",
        )


def _is_ours(path: Path) -> bool:
    try:
        return read_text(path, _LARGEST, errors="replace").startswith(_OURS)
    except OSError:
        return False


def _none() -> None:
    """It stays as it is."""
