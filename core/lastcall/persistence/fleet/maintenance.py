"""That the guests of this host stay away, over however many boots, until somebody says that it is over."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from lastcall.errors import LastcallError
from lastcall.formats.decoding import decoded, from_json
from lastcall.formats.reading import read_text
from lastcall.formats.values import value
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.files import READERS, write_whole
from lastcall.persistence.waiting.entry import Entry

LARGEST = 4 << 20  # bytes; a guest takes some 150
END = "`lastcall maintenance end` brings them back"


@value(kw_only=True)
class OtherWaiting:
    """A guest that waited already for somebody, when it began: which, and since which run."""

    uri: str
    uuid: str
    run: str


@value(kw_only=True)
class Maintenance:
    """Since when (RFC 3339) and since which boot. `others`: who had been off before, and is none of its business."""

    since: str
    boot: str
    others: tuple[OtherWaiting, ...] = ()

    @classmethod
    def begun_now(cls, others: Iterable[Entry]) -> "Maintenance":
        """One that begins now."""
        waiting = (OtherWaiting(uri=one.uri, uuid=one.uuid, run=one.run) for one in others)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(since=since, boot=boot_id(), others=tuple(waiting))

    def concerns(self, entry: Entry) -> bool:
        """Whether a guest on the list is off because of it, or because of a stop while it lasts."""
        # By the run as well: one that was started since, and went off with the host, is not the same entry any more.
        return OtherWaiting(uri=entry.uri, uuid=entry.uuid, run=entry.run) not in self.others

    @property
    def words(self) -> str:
        """What is said of it."""
        began = datetime.fromisoformat(self.since).astimezone()
        return f"in maintenance since {began:%Y-%m-%d %H:%M}: guests that are off stay off"


class MaintenanceFile:
    """`<paths.state>/maintenance.json`: there while it lasts."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "maintenance.json"

    def read(self) -> Maintenance | None:
        """What holds now. One that cannot be understood holds all the same, since the file was last written."""
        try:
            found = decoded(Maintenance, from_json(read_text(self.path, LARGEST)))
            datetime.fromisoformat(found.since).astimezone()
        except FileNotFoundError:
            return None
        except (OSError, ValueError, OverflowError):
            return self._unread()
        return found

    def _unread(self) -> Maintenance:
        # A guest that comes back too late is started by one command; one that runs here while somebody works on its
        # disks, or while it runs elsewhere, is not mended by any.
        try:
            written = self.path.stat().st_mtime
        except OSError:
            written = 0.0
        since = datetime.fromtimestamp(written, UTC).isoformat(timespec="seconds")
        return Maintenance(since=since, boot="unknown")

    def write(self, maintenance: Maintenance) -> None:
        """Let it begin. Blocks; raises OSError."""
        write_whole(self.path, json.dumps(asdict(maintenance)), mode=READERS)

    def remove(self) -> None:
        """It is over. Blocks; raises OSError."""
        self.path.unlink(missing_ok=True)


class InMaintenance(LastcallError):
    """Nobody is brought back, as this host is in maintenance."""

    def __init__(self, maintenance: Maintenance) -> None:
        super().__init__(f"this host is {maintenance.words}", f"{END}; single guests come back by their names")
