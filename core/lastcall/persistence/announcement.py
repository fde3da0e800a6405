"""What somebody knows about a host stop that is still to come: its true reason, and how much time there will be."""

import json
import time
from dataclasses import asdict
from pathlib import Path

from lastcall.api.guests import Reason
from lastcall.formats.decoding import decoded, from_json
from lastcall.formats.reading import read_text
from lastcall.formats.values import value
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.files import READERS, SMALL, public_folder, write_whole
from lastcall.persistence.refusals import refusals_told

LIFETIME = 600.0  # seconds in which an announcement without a deadline counts
POWER_WORD = "power low"


@value
class Announcement:
    """`reason` as in the report; `ends` (when the host stop has to be over) and `until` on the monotonic clock.

    `by`: who made it: `POWER_WORD`, which the word that the mains are back takes back, or "" for anybody else.
    """

    reason: str
    ends: float | None
    until: float
    boot: str
    by: str = ""

    def left(self) -> float | None:
        """Seconds until its deadline; None where it has none."""
        return None if self.ends is None else max(0.0, self.ends - time.monotonic())


def announce(reason: Reason, deadline: float | None, lifetime: float = LIFETIME, by: str = "") -> Announcement:
    """One made now; with a deadline (seconds) it counts until that, else for its lifetime (seconds)."""
    now = time.monotonic()
    ends = None if deadline is None else now + deadline
    return Announcement(reason.value, ends, now + lifetime if ends is None else ends, boot_id(), by)


class NoticeBoard:
    """`<paths.run>/announcement.json`: at most one."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "announcement.json"

    def put(self, announcement: Announcement) -> None:
        """Announce; raises NoPermission."""
        with refusals_told(self.path):
            public_folder(self.path.parent)
            write_whole(self.path, json.dumps(asdict(announcement)), sync=False, mode=READERS)

    def cancel(self) -> bool:
        """Take it back; returns whether there was one. Raises NoPermission."""
        with refusals_told(self.path):
            try:
                self.path.unlink()
            except FileNotFoundError:
                return False
        return True

    def read(self) -> Announcement | None:
        """The one that counts now: of this boot, and not outlived. What cannot be read is none."""
        try:
            announcement = decoded(Announcement, from_json(read_text(self.path, SMALL)))
            Reason(announcement.reason)
            # The monotonic clock begins anew with every boot: a note of an earlier one could count for days.
            current = announcement.boot == boot_id() and time.monotonic() < announcement.until
        except (OSError, ValueError):
            return None
        return announcement if current else None
