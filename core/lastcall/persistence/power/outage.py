"""What is known of an outage that goes on: for `status`, which asks nobody for it."""

import contextlib
from pathlib import Path

from lastcall.api.power import PowerWord
from lastcall.formats.decoding import decoded, from_json
from lastcall.formats.json_text import to_json
from lastcall.formats.reading import read_text
from lastcall.formats.values import value
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.files import READERS, public_folder, write_whole

LARGEST = 4 << 20  # bytes: the names of some ten thousand guests
STALE = 60.0  # seconds after which nobody seems to keep it any more


@value(kw_only=True)
class OutageNote:
    """An outage, or the time after one in which the mains have to hold. Moments are on the monotonic clock.

    `word` and `since`: what holds for the host; `at`: when it was noted. `charge` in per cent and `runtime` in seconds,
    as far as they are believed. `shed`: the names of those who come back with the mains; `next`: of those who are shed
    next, and `next_at` when, where that is known. `returns_at`: when guests are brought back, should the mains hold.
    `began`: since when they have not held for so long, whatever came and went meanwhile; None where they have.
    """

    word: PowerWord
    since: float
    at: float
    charge: float | None = None
    runtime: float | None = None
    shed: tuple[str, ...] = ()
    next: tuple[str, ...] = ()
    next_at: float | None = None
    returns_at: float | None = None
    began: float | None = None
    sheds: bool = True
    boot: str = ""


class OutageFile:
    """`<paths.run>/outage.json`. Without it nothing is lost but a line of `status`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "outage.json"

    def keep(self, outage: OutageNote) -> None:
        """Keep it. Blocks. What cannot be kept is not."""
        with contextlib.suppress(OSError):
            public_folder(self.path.parent)
            write_whole(self.path, to_json(outage), sync=False, mode=READERS)

    def remove(self) -> None:
        """The outage is over."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def recall(self) -> OutageNote | None:
        """What is kept of this boot; a file that is missing or cannot be understood is as good as none. Blocks."""
        try:
            found = decoded(OutageNote, from_json(read_text(self.path, LARGEST)))
        except (OSError, ValueError):
            return None
        return found if found.boot == boot_id() else None

    def began(self, now: float) -> float | None:
        """Since when the outage lasts that somebody sees through just now. Blocks."""
        noted = self.recall()
        return noted.began if noted and now - noted.at < STALE else None
