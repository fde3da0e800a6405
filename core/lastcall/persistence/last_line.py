"""What lastcall and the last line of its unit, a shell script that needs no Python, leave for each other."""

import contextlib
import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from lastcall.api.guests import Guest
from lastcall.api.naming.guest_names import GuestNames
from lastcall.errors import LastcallError, Problem
from lastcall.formats.bounded_text import bounded
from lastcall.formats.reading import Unreadable, distrusted, read_bytes, read_text
from lastcall.formats.values import changing
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.files import PUBLIC, write_whole
from lastcall.persistence.state import StateFile, is_local

ASKED_BY = "virsh"  # what their entries say instead of a run's id
_LINE = re.compile(r"(\S+) ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?: (.*))?", re.IGNORECASE)
_MOST = 4 << 20  # bytes: a line for each of some 40 000 guests
_TOLD = 1000  # characters of names


@changing
class UnitAnswer:
    """What the unit's stop comes to. `fails`: the unit is to end in failure."""

    fails: bool = False


@contextmanager
def answered(folder: Path) -> Generator[UnitAnswer]:
    """Note, where the block ends as it may, that lastcall has answered this stop of its unit; `folder` is paths.run.

    A bug, a kill and a program that cannot start leave no note, and then the script asks the guests. Whether the unit
    fails is for the script to do, too, as the last of its commands: no other is skipped because of it.
    """
    answer = UnitAnswer()
    try:
        yield answer
    except LastcallError:
        _note(folder, answer)
        raise
    _note(folder, answer)


def _note(folder: Path, answer: UnitAnswer) -> None:
    # The unit has a new id with every start, and one stop for each: no note outlives the stop that it is about. An exit
    # code could not tell, as an interpreter that lacks our packages ends with 1, too.
    invocation = os.environ.get("INVOCATION_ID")
    if invocation:
        with contextlib.suppress(OSError):  # then the script asks whoever still runs, which is the lesser evil
            told = f"{invocation}{' failed' if answer.fails else ''}\n"
            write_whole(folder / "answered", told, sync=False, mode=PUBLIC)


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
        self._not_taken: list[str] = []  # what is wrong with it, in words
        self._remedy = ""

    def take_over(self, state: StateFile) -> bool:
        """Put them on the list, as stopped by the host just before this boot; returns whether there are any.

        What is no such note, or is not believed, costs the rest nothing; `put_away` tells of it.
        """
        guests = self._believed(self._noted())
        before = (state.previous_boot if state.boot == boot_id() else state.boot) or ""
        # Also who waits already: whatever he waited for, he ran again.
        state.add(guests, run=ASKED_BY, boot_id=before, cause="host", due=True, restarting=state.restarting())
        return bool(guests)

    def put_away(self) -> Problem | None:
        """They are on the list, and that is on disk. Returns what did not get there, which is kept. Raises OSError."""
        if not self._not_taken:
            self.path.unlink(missing_ok=True)
            return None
        # Out of the way: left there, it would be told of at every boot, and the script would write behind it.
        aside = self.path.with_name(f"{self.path.name}.odd-{datetime.now(UTC):%Y%m%dT%H%M%S}")
        self.path.rename(aside)
        remedy = f"{self._remedy}it was moved to {aside}: look at it, and start by hand who is missing"
        return Problem(what="state", where=str(self.path), message="; ".join(self._not_taken), remedy=remedy)

    def _noted(self) -> list[Guest]:
        try:
            # Not by a text file's idea of a line: a carriage return in a name must not begin another guest.
            lines = read_bytes(self.path, _MOST).decode("utf-8", "replace").split("\n")
        except FileNotFoundError:
            return []
        except OSError as error:
            self._not_taken.append(f"cannot be read: {error.why if isinstance(error, Unreadable) else error.strerror}")
            return []
        found = [_LINE.fullmatch(line) for line in lines if line]
        unknown = found.count(None)
        if unknown:
            self._not_taken.append(f"{unknown} of its lines name no guest")
        return [_guest(*match.groups()) for match in found if match]

    def _believed(self, guests: list[Guest]) -> list[Guest]:
        """Those of them whose URIs run no program, where somebody else could have written them."""
        try:
            why = distrusted(self.path) if guests else None
        except OSError as error:
            why = error
        believed = [guest for guest in guests if not why or is_local(guest.uri)]
        if len(believed) < len(guests):
            doubtful = [guest for guest in guests if not is_local(guest.uri)]
            names = bounded(", ".join(GuestNames(doubtful).values()), _TOLD)
            self._not_taken.append(f"{why}; these are left out, as their URIs may run a program: {names}")
            self._remedy = f"{why.remedy}; " if isinstance(why, Unreadable) else ""
        return believed


def _guest(uri: str, uuid: str, name: str | None) -> Guest:
    return Guest(uri=uri, uuid=uuid.lower(), name=name or uuid, driver="LXC" if uri.startswith("lxc") else "QEMU")
