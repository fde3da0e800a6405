"""The lock that this host holds at a server, remembered over crashes and boots: nobody else would give it back."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from lastcall.errors import LastcallError
from lastcall.formats.decoding import decoded, from_json
from lastcall.formats.reading import read_text
from lastcall.formats.values import value
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.files import READERS, SMALL, write_whole


@value(kw_only=True)
class HeldLock:
    """The lock: where it was asked for, and by which name. `since` is RFC 3339, `boot` the boot in which it was taken.

    `sure`: false where the server's answer never came, or made no sense: then it may be held.
    `unready`: who was started at this host's restore and did not become ready.
    """

    url: str
    group: str
    id: str
    since: str
    boot: str
    sure: bool = False
    unready: tuple[str, ...] = ()

    @classmethod
    def asked_for(cls, url: str, group: str, holder: str) -> "HeldLock":
        """One that is about to be asked for now."""
        since = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(url=url, group=group, id=holder, since=since, boot=boot_id())

    @property
    def is_of_this_boot(self) -> bool:
        """Whether the host has not gone down since."""
        return self.boot == boot_id()


class HeldLockFile:
    """`<paths.state>/fleet-lock.json`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "fleet-lock.json"

    def read(self) -> HeldLock | None:
        """The lock; raises LastcallError where there is a file that says nothing."""
        try:
            held = decoded(HeldLock, from_json(read_text(self.path, SMALL)))
            datetime.fromisoformat(held.since).astimezone()
        except FileNotFoundError:
            return None
        except (OSError, ValueError, OverflowError) as error:
            remedy = "`lastcall lock release` gives back what may be held; then remove it"
            raise LastcallError(f"{self.path} cannot be understood ({error})", remedy) from None
        return held

    def write(self, held: HeldLock) -> None:
        """Remember it. Blocks; raises OSError."""
        write_whole(self.path, json.dumps(asdict(held)), mode=READERS)

    def mark(self, held: HeldLock, unready: Sequence[str]) -> HeldLock:
        """Note who did not become ready, instead of who was noted so far. Blocks; raises OSError."""
        marked = replace(held, unready=tuple(unready))
        self.write(marked)
        return marked

    def remove(self) -> None:
        """It is held no more. Blocks; raises OSError."""
        self.path.unlink(missing_ok=True)


def lock_words(held: HeldLock) -> str:
    """What is said of it."""
    since = datetime.fromisoformat(held.since).astimezone()
    holds = "holds" if held.sure else "perhaps holds"
    told = f"{holds} the fleet lock {held.group} of {held.url} since {since:%Y-%m-%d %H:%M}, as {held.id}"
    return f"{told}; not ready: {', '.join(held.unready)}" if held.unready else told
