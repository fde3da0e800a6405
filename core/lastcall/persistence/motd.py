"""A line for whoever logs in, when guests were not back at the last look, or met an end that nobody has seen yet."""

import contextlib
from collections.abc import Container, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Protocol

from lastcall.api.guests import Key
from lastcall.api.naming.guest_names import GuestNames
from lastcall.errors import LastcallError
from lastcall.formats.bounded_text import NAME_LIMIT, bounded, first_names
from lastcall.formats.visible_text import visible
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.files import PUBLIC, write_whole
from lastcall.persistence.fleet.maintenance import END, MaintenanceFile
from lastcall.persistence.state import StateFile, open_state
from lastcall.persistence.waiting.entry import Entry

_SHOWN = 5


class Folders(Protocol):
    """Where the list is, and where the line goes: `paths` of the configuration."""

    @property
    def state(self) -> Path:
        """`paths.state`."""
        ...

    @property
    def run(self) -> Path:
        """`paths.run`."""
        ...


class Motd:
    """`<paths.run>/motd`, to which `lastcall install` links /etc/motd.d/lastcall, which pam_motd(8) shows.

    A file, as a login must not wait for libvirt; so it says of when it is, and whoever asks libvirt writes it anew.
    What cannot be written is not: no run depends on it. Not `wanted` where nobody is expected back.
    """

    def __init__(self, paths: Folders, *, wanted: bool = True) -> None:
        self._wanted = wanted
        self._state = paths.state
        self._path = paths.run / "motd"
        self._known: tuple[object, list[Entry]] = None, []  # which file was read, and who was found in it

    @property
    def subjects(self) -> list[Entry]:
        """Whom the line may be about: who is on the list from before this boot. Nobody where it cannot be read."""
        which = _identity(StateFile(self._state).path)
        if which is None or which != self._known[0]:
            self._known = which, self._read()
        return self._known[1]

    def _read(self) -> list[Entry]:
        try:
            entries = open_state(self._state).entries.values() if self._wanted else ()
        except LastcallError:
            return []
        now = boot_id()
        return sorted((entry for entry in entries if entry.boot_id != now), key=lambda entry: entry.name)

    def refresh(self, *, unseen: str, back: Container[Key] = (), off: Container[Key] = ()) -> None:
        """Write the line, or remove it. `back`: who was seen running; `off`: who was seen to be off. Of others it says
        no more than that they may be missing. `unseen`: what nobody has seen yet, a line of its own.
        """
        maintenance = MaintenanceFile(self._state).read()
        # Whom maintenance keeps away nobody misses.
        missing = [] if maintenance else [entry for entry in self.subjects if entry.guest.key not in back]
        with contextlib.suppress(OSError):
            if not (missing or unseen or maintenance):
                self._path.unlink(missing_ok=True)
                return
            # In one step: whoever logs in just now reads the old line or the new one.
            lines = [_line(missing, GuestNames(self.subjects), off)] if missing else []
            lines += [f"lastcall: {maintenance.words}; {END}"] if maintenance else []
            lines += [visible(f"lastcall: {unseen}")] if unseen else []
            write_whole(self._path, "".join(f"{line}\n" for line in lines), sync=False, mode=PUBLIC)


def _identity(path: Path) -> object:
    """What tells the file as it is now from what it was, or will be; nothing where nobody can tell."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _line(missing: Iterable[Entry], called: GuestNames, off: Container[Key]) -> str:
    """`lastcall: 2 guests are not back …: db-1, web-1. As of …`."""
    names: dict[str, list[str]] = {"": [], "perhaps ": []}
    for entry in missing:
        names["" if entry.guest.key in off else "perhaps "].append(
            bounded(entry.name, NAME_LIMIT) + called.place(entry)
        )
    told = "; ".join(_clauses(names))
    as_of = f"As of {datetime.now().astimezone():%Y-%m-%d %H:%M}; `lastcall status` looks again."
    return visible(f"lastcall: {told}. {as_of}")


def _clauses(names: dict[str, list[str]]) -> Iterator[str]:
    for doubt, some in names.items():
        if some:
            count = f"{len(some)} guest{' is' if len(some) == 1 else 's are'}"
            yield f"{count} {doubt}not back since the last shutdown: {first_names(some, _SHOWN)}"
