"""One run at a time."""

import fcntl
import os
from pathlib import Path

from lastcall.errors import NoPermission, RunLocked


class RunLock:
    """A lock on `<paths.run>/lock` that ends with the process, however it ends."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lock"
        self._descriptor: int | None = None

    def take(self, what: str) -> None:
        """Take the lock for `what`; raises RunLocked (naming the holder), NoPermission or OSError."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except PermissionError:
            raise NoPermission(
                f"no permission to write {self.path}", "run as root, or set paths.run and paths.state"
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another run"
            os.close(descriptor)
            raise RunLocked(f"another run is under way: {holder}", "wait for it, or end it") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{what}, process {os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
