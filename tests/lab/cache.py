"""What the lab makes once per machine and keeps: images, and guests that have booted."""

import fcntl
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

CACHE = Path(os.environ.get("LASTCALL_LAB_CACHE", Path(__file__).parents[2] / ".cache" / "lab"))


def made_once(name: str, make: Callable[[Path], None], cache: Path = CACHE) -> Path:
    """The folder of this name, which `make` has filled; whoever wants it meanwhile waits, and does not make another."""
    folder = cache / name
    if folder.exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                made = Path(scratch) / "made"
                made.mkdir()
                make(made)
                made.rename(folder)
    return folder
