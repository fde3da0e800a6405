"""A message, and those that could not be sent yet, each in a file of its own for each of those that it is for."""

import contextlib
import json
import re
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from lastcall import LastcallError, TextFile, from_json

MOST = 500  # files; a host that has been without a network for a week has fewer
LARGEST = 1 << 16  # bytes of one
_NEVER = 1e11  # seconds since the epoch, in the year 5138
LATE = 60.0  # seconds after which a message says when it was written
_EVERYBODY = "all"
_FILE = re.compile(r"(\d{13}-[0-9a-f]{8})-(all|[0-9a-f]{8})\.json")


def this_boot() -> str:
    """The kernel's id of this boot; nothing where it has none."""
    try:
        return (TextFile(Path("/proc/sys/kernel/random/boot_id")).read() or "").strip()
    except LastcallError:
        return ""


@dataclass(frozen=True, kw_only=True)
class Message:
    """What is told. `written`: seconds since the epoch. `kind`: one of Apprise's words for how bad it is.

    `boot`: the boot in which it was written.
    """

    title: str
    body: str
    written: float
    kind: str = "info"
    boot: str = field(default_factory=this_boot)

    def late(self) -> "Message":
        """The same, which says so when it comes long after it was written, or after a boot."""
        # A clock may have been set back meanwhile.
        if abs(time.time() - self.written) < LATE and self.boot == this_boot():
            return self
        when = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(self.written))
        return replace(self, title=f"{self.title} (sent late)", body=f"{self.body}\n\nSent late: this is of {when}.")


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A message that waits for one of those that it is for. `why`: what came of the last attempt."""

    file: TextFile
    message: Message
    why: str = ""


def _moment(written: Any) -> float:
    """Seconds since the epoch. Raises ValueError for what is no time that a calendar has."""
    seconds = float(written)
    if not 0 <= seconds < _NEVER:
        raise ValueError(seconds)
    return seconds


class Unsent:
    """The messages in a folder that were not sent, oldest first. No file has an address, or more of it than a hash.

    A message is there before it is sent and goes when it was taken: after a crash it may be sent twice, never not.
    All methods raise LastcallError where the disk refuses.
    """

    def __init__(self, folder: Path, keep: float) -> None:
        self._folder = folder
        self._keep = keep

    def add(self, message: Message) -> None:
        """Have a message wait for everybody."""
        name = f"{int(message.written * 1000):013}-{uuid4().hex[:8]}-{_EVERYBODY}.json"
        self._write(TextFile(self._folder / name, limit=LARGEST), message, "")

    def share_out(self, targets: Iterable[str]) -> None:
        """Give each target a file of its own of what waits for everybody; what is too old, or too much, goes."""
        targets = tuple(targets)
        for one in self._waiting(_EVERYBODY) if targets else ():
            for target in targets:
                name = f"{one.file.path.stem.removesuffix(_EVERYBODY)}{target}.json"
                self._write(TextFile(self._folder / name, limit=LARGEST), one.message, one.why)
            one.file.remove()
        names = self._names()
        oldest = (time.time() - self._keep) * 1000
        for index, name in enumerate(names):
            if int(name[:13]) < oldest or index < len(names) - MOST:
                with contextlib.suppress(LastcallError):  # a folder, say, which is nobody's message
                    TextFile(self._folder / name).remove()

    def of(self, target: str) -> list[Waiting]:
        """What waits for this one."""
        return self._waiting(target)

    def everything(self) -> list[Waiting]:
        """What waits for anybody."""
        return self._waiting(None)

    def failed(self, one: Waiting, why: str) -> None:
        """Keep why it could not be sent."""
        self._write(one.file, one.message, why[:300])

    def _waiting(self, target: str | None) -> list[Waiting]:
        found: list[Waiting] = []
        for name in self._names():
            file, known = TextFile(self._folder / name, limit=LARGEST), _FILE.fullmatch(name)
            if target not in {None, known and known[2]}:
                continue
            text: str | None = None
            try:
                text = file.read()
                told: Any = from_json(text or "{}")
                words = {key: str(told[key]) for key in ("title", "body", "kind", "boot")}
                message = Message(**words, written=_moment(told["written"]))
                found.append(Waiting(file=file, message=message, why=str(told["why"])))
            except LastcallError:
                continue  # a folder, a pipe: in nobody's way
            except (ValueError, LookupError, TypeError, AttributeError):
                if text:  # else another sender has sent it just now
                    with contextlib.suppress(LastcallError):
                        file.set_aside()
        return found

    def _names(self) -> list[str]:
        return sorted(path.name for path in self._folder.glob("*.json") if _FILE.fullmatch(path.name))

    def _write(self, file: TextFile, message: Message, why: str) -> None:
        file.write(json.dumps({**asdict(message), "why": why}))
