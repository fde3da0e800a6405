"""What happened, as it happened: one JSON object a line, readable after any crash."""

import contextlib
import fcntl
import math
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from lastcall.formats.decoding import decoded, from_json
from lastcall.formats.json_text import to_json
from lastcall.formats.reading import open_plain, read_bytes
from lastcall.persistence.files import LAST_MOMENT, is_locked, readers_folder
from lastcall.records.records import Record, RunEnded, RunStarted
from lastcall.threads.outbox import Outbox

_KINDS: dict[str, Any] = {kind.__name__: kind for kind in get_args(Record)}
LARGEST = 64 << 20  # bytes; what plugins say ends at 16 MiB, what the report needs of a thousand guests has 4
BATCH = 0.02  # seconds between two writes: waking a thread for each of a thousand records would slow the run
FLUSH_TIMEOUT = 5.0  # seconds for the last lines; a disk that takes longer must not hold up the end of the run


class RunLog:
    """Appends records to `<folder>/<run id>.jsonl` (mode 0600, or 0640 for readers).

    Blocks as long as the disk does; raises OSError.

    Before it does, it removes the oldest logs: at most `keep` stay, itself included, and at most `together` bytes.
    """

    def __init__(self, folder: Path, *, keep: float = math.inf, together: float = math.inf) -> None:
        self._folder = folder
        self._keep, self._together = keep, together
        self._descriptor = -1

    def take(self, record: Record) -> None:
        """Append a record; the first opens the file, with the last everything is on disk."""
        self.write([record])

    def write(self, records: Sequence[Record]) -> None:
        """Append several records at once."""
        for record in records:
            if isinstance(record, RunStarted):
                mode = readers_folder(self._folder)
                self._make_room()
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
                self._descriptor = os.open(self._folder / f"{record.id}.jsonl", flags, mode)
                os.fchmod(self._descriptor, mode)  # the umask may have taken of it
                # The kernel lets go of it with the process: by that a run that was killed is told from one under way.
                with contextlib.suppress(OSError):
                    fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        data = "".join(map(_line, records)).encode()
        # A write may take less than it was given, as on a disk that is all but full; the next one says why.
        while data:
            data = data[os.write(self._descriptor, data) :]
        if isinstance(records[-1], RunEnded):
            # Once: what was written survives the death of the process also without. A sync for each batch would compete
            # with the guests, which write back their caches at this very time.
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _make_room(self) -> None:
        """Remove the oldest logs; what cannot be removed stays."""
        size = 0
        for number, old in enumerate(sorted(self._folder.glob("*.jsonl"), key=_name, reverse=True), 1):
            with contextlib.suppress(OSError):
                bytes_ = old.lstat().st_size
                if bytes_ > LARGEST:
                    continue  # none of ours, and none of those must make room for it
                size += bytes_
                # The last run's stays in any case: whoever is told to look into it finds it.
                if number >= self._keep or (size > self._together and number > 1):
                    old.unlink()


class BackgroundRunLog:
    """A run log written by a thread of its own: a disk that hangs must not hang a run.

    `ends`: the run's deadline on the monotonic clock; the last lines get what is left, and a moment in any case.
    """

    def __init__(self, log: RunLog, ends: float = math.inf) -> None:
        self._ends = ends
        self._records = Outbox[Record](lambda records, _dropped: log.write(records), "lastcall-runlog", pause=BATCH)

    def take(self, record: Record) -> None:
        """Append a record. The last one waits until everything is on disk; raises OSError once the disk has refused."""
        self._records.put(record)
        if isinstance(record, RunEnded):
            left = max(LAST_MOMENT, self._ends - time.monotonic())
            if not self._records.close(min(FLUSH_TIMEOUT, left)) and not self._records.error:
                raise TimeoutError("the disk does not answer")
        if self._records.error:
            raise self._records.error


def _name(log: Path) -> str:
    return log.name  # which is all in which they differ; paths compare slowly


def _line(record: Record) -> str:
    return f'{{"type":"{type(record).__name__}",{to_json(record)[1:]}\n'


def is_under_way(log: Path) -> bool:
    """Whether the run of a log still writes it; False where the file system cannot tell. Raises PermissionError."""
    try:
        return is_locked(open_plain(log))
    except PermissionError:
        raise
    except OSError:
        return False


def read_log(path: Path) -> Iterator[Record]:
    """Read a run log back; a last line that was cut off by a crash is passed over. Raises OSError, ValueError."""
    for line in read_bytes(path, LARGEST).splitlines(keepends=True):
        if line.endswith(b"\n"):
            fields = from_json(line)
            try:
                yield decoded(_KINDS[fields.pop("type")], fields)
            except (KeyError, TypeError, AttributeError) as error:
                raise ValueError(f"no record: {error}") from None
