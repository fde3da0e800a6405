"""Who holds the lock of a run, as it says itself and as the kernel knows it."""

import os
import signal
from pathlib import Path

from lastcall.api.guests import Reason, RunKind
from lastcall.formats.values import value


@value
class Holder:
    """Who holds the lock. `kind` and `reason` as in the report; `ends`: when it has to be over (monotonic clock), as
    far as another process has told it that."""

    kind: str
    reason: str
    process: int
    ends: float | None = None

    @property
    def sheds(self) -> bool:
        """Whether it is a run that sheds guests."""
        return (self.kind, self.reason) == (RunKind.SHUTDOWN.value, Reason.SHED.value)

    def is_as(self, other: "Holder") -> bool:
        """Whether it is the same run, and for the same reason."""
        return (self.kind, self.reason, self.process) == (other.kind, other.reason, other.process)

    def __str__(self) -> str:
        return f"{self.kind} ({self.reason}), process {self.process}"


def has_open(found: Holder, path: Path) -> bool:
    """Whether it has the file open. One that lives and may not be looked into, as from a sandbox, is believed."""
    if not _alive(found):
        return False
    try:
        lock = path.stat()
        return any(_is_same(link, lock) for link in Path(f"/proc/{found.process}/fd").iterdir())
    except OSError:
        return True


def signal_holder(found: Holder, number: signal.Signals) -> None:
    """Send it a signal."""
    try:
        os.kill(found.process, number)
    except (ProcessLookupError, PermissionError):
        return  # it is gone, which is as good, or not ours, and then it does not answer


def _is_same(link: Path, lock: os.stat_result) -> bool:
    """Raises PermissionError where that may not be known."""
    try:
        return os.path.samestat(link.stat(), lock)
    except FileNotFoundError:
        return False  # closed meanwhile


def _alive(found: Holder) -> bool:
    try:
        os.kill(found.process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return not _is_zombie(found)


def _is_zombie(found: Holder) -> bool:
    """Whether it has died and its parent has not noticed: it has a number, and nothing else any more."""
    try:
        facts = Path(f"/proc/{found.process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return facts.rpartition(")")[2].split()[:1] in (["Z"], ["X"])
