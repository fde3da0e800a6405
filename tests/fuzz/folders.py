"""A folder for readers of files: one for each process, emptied for each input."""

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path


def fresh_folder() -> Path:
    """The folder with nothing in it."""
    folder = _made(os.getpid())
    for left in folder.iterdir():
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()
    return folder


@cache
def _made(_process: int) -> Path:
    folder = tempfile.mkdtemp(prefix="lastcall-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
