"""What happened, as it happened: one JSON object a line, appended with one write each, readable after any crash."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from lastcall.records import Record, RunEnded
from lastcall.report.plain import to_plain

_KINDS: dict[str, Any] = {kind.__name__: kind for kind in get_args(Record)}


class RunLog:
    """Appends records to `<folder>/<run id>.jsonl` (mode 0600). Raises OSError when the disk refuses."""

    def __init__(self, folder: Path, run_id: str) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = folder / f"{run_id}.jsonl"
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def take(self, record: Record) -> None:
        """Append one record; the last one is on disk when this returns."""
        line = json.dumps({"type": type(record).__name__, **to_plain(record)}, ensure_ascii=False)
        data = line.encode() + b"\n"
        while data:
            data = data[os.write(self._descriptor, data) :]
        if isinstance(record, RunEnded):
            os.fsync(self._descriptor)


def read(path: Path) -> Iterator[Record]:
    """Read a run log back; a last line that was cut off by a crash is passed over. Raises OSError, ValueError."""
    from pydantic import TypeAdapter

    adapters = {name: TypeAdapter(kind) for name, kind in _KINDS.items()}
    for line in path.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            fields = json.loads(line)
            yield adapters[fields.pop("type")].validate_python(fields)
