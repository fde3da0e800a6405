"""What lastcall and the last line of its unit, a shell script that needs no Python, leave for each other."""

import contextlib
import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from lastcall.api.guests import Guest
from lastcall.errors import LastcallError
from lastcall.formats.reading import open_plain, read_text
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.files import PUBLIC, write_whole
from lastcall.persistence.state import StateFile

ASKED_BY = "virsh"  # what their entries say instead of a run's id
_LINE = re.compile(r"(\S+) ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?: (.*))?", re.IGNORECASE)
_MOST = 4 << 20  # bytes: a line for each of some 40 000 guests


@contextmanager
def answered(folder: Path) -> Generator[None]:
    """Note, where the block ends as it may, that lastcall has answered this stop of its unit; `folder` is paths.run.

    A bug, a kill and a program that cannot start leave no note, and then the script asks the guests.
    """
    try:
        yield
    except LastcallError:
        _note(folder)
        raise
    _note(folder)


def _note(folder: Path) -> None:
    # The unit has a new id with every start, and one stop for each: no note outlives the stop that it is about. An exit
    # code could not tell, as an interpreter that lacks our packages ends with 1, too.
    invocation = os.environ.get("INVOCATION_ID")
    if invocation:
        with contextlib.suppress(OSError):  # then the script asks whoever still runs, which is the lesser evil
            write_whole(folder / "answered", f"{invocation}\n", sync=False, mode=PUBLIC)


def note_deadline(folder: Path, seconds: float) -> None:
    """Have the script wait for as many seconds as a run; `folder` is paths.state. Blocks.

    What cannot be noted is not: the script has a number of its own.
    """
    path, text = folder / "deadline", f"{seconds:.0f}\n"
    with contextlib.suppress(OSError, ValueError):
        # Written only when it differs, as this write waits for the disk.
        if not path.exists() or read_text(path, 64) != text:
            write_whole(path, text)


class AskedByVirsh:
    """`<paths.state>/asked-by-virsh`: who was asked by the script since the last stamp, a line `URI UUID NAME` each."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "asked-by-virsh"

    def take_over(self, state: StateFile) -> bool:
        """Put them on the list, as stopped by the host just before this boot; returns whether there are any.

        Raises OSError.
        """
        guests = self._guests()
        before = (state.previous_boot if state.boot == boot_id() else state.boot) or ""
        # Also who waits already: whatever he waited for, he ran again.
        state.add(guests, run=ASKED_BY, boot_id=before, cause="host", due=True, restarting=state.restarting())
        return bool(guests)

    def remove(self) -> None:
        """They are on the list, and that is on disk."""
        self.path.unlink(missing_ok=True)

    def _guests(self) -> list[Guest]:
        try:
            with open(open_plain(self.path), encoding="utf-8", errors="replace") as file:  # noqa: PTH123  a descriptor
                text = file.read(_MOST)
        except FileNotFoundError:
            return []
        found = [match.groups() for match in map(_LINE.fullmatch, text.split("\n")) if match]
        return [
            Guest(uri=uri, uuid=uuid.lower(), name=name or uuid, driver="LXC" if uri.startswith("lxc") else "QEMU")
            for uri, uuid, name in found
        ]
