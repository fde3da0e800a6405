"""A line for whoever logs in, when guests that ran before the last shutdown are not back."""

import contextlib
from pathlib import Path
from typing import Protocol

from lastcall.errors import LastcallError
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.state import open_state

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

    True by the list of guests to restore. What cannot be written is not: no run depends on it.
    """

    def __init__(self, paths: Folders) -> None:
        self._state = paths.state
        self._path = paths.run / "motd"

    def refresh(self) -> None:
        """Write the line, or remove it."""
        with contextlib.suppress(OSError, LastcallError):
            line = self.line()
            if not line:
                self._path.unlink(missing_ok=True)
                return
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
            self._path.write_text(line, encoding="utf-8")
            self._path.chmod(0o644)

    def line(self) -> str:
        """`lastcall: 2 guests are not back …: db-1, web-1. …`; nothing where all are. Raises LastcallError."""
        entries = open_state(self._state).entries.values()
        missing = sorted(entry.name for entry in entries if entry.boot_id != boot_id())
        if not missing:
            return ""
        names = ", ".join(missing[:_SHOWN]) + (f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else "")
        count = f"{len(missing)} guest{' is' if len(missing) == 1 else 's are'}"
        return f"lastcall: {count} not back since the last shutdown: {names}. See `lastcall report`.\n"
