"""A disk that does not answer: a folder is served by FUSE, and what is asked of it waits while a mark is there.

Run as a program it does so in a mount namespace of its own, for one command; nothing of it is left when that ends.
"""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import mfusepy

_PR_SET_PDEATHSIG = 1


def on_a_slow_disk(folder: Path, mark: Path, name: str = "") -> tuple[str, ...]:
    """Words before a command that finds `folder` on such a disk: while `mark` exists, reading `name` in it waits, or,
    without a name, everything.

    What the command writes there is in the folder itself; only the command's processes see the disk.
    """
    words = ("unshare", "--mount", "--propagation", "private", sys.executable, __file__)
    return (*words, str(folder), str(mark), name)


class _Disk(mfusepy.Operations):
    """What is done to the disk is done to a folder, which is held open as it is hidden by the mount."""

    use_ns = True
    # What is asked of an open file comes without its path: libfuse would let a file that is being read wait with
    # whoever wants to move it away.
    flag_nopath = flag_nullpath_ok = True

    def __init__(self, folder: int, mark: Path, slow: str) -> None:
        self._folder, self._mark, self._slow = folder, mark, slow
        self._waiting = set[int]()  # descriptors

    def _at(self, path: str) -> str:
        """The path below the folder, when the disk answers."""
        self._wait_unless(self._slow)
        return path.lstrip("/") or "."

    def _wait_unless(self, quick: object) -> None:
        while not quick and self._mark.exists():
            time.sleep(0.05)

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        found = os.stat(self._at(path), dir_fd=self._folder, follow_symlinks=False)
        names = ("st_mode", "st_nlink", "st_size", "st_uid", "st_gid", "st_mtime_ns", "st_atime_ns", "st_ctime_ns")
        return {name.removesuffix("_ns"): getattr(found, name) for name in names}

    def opendir(self, path: str) -> int:
        return self.open(path, os.O_RDONLY)

    def readdir(self, path: str, fh: int) -> list[str]:
        self._wait_unless(self._slow)
        return [".", "..", *(one.name for one in os.scandir(fh))]

    def releasedir(self, path: str, fh: int) -> int:
        return self.release(path, fh)

    def open(self, path: str, flags: int) -> int:
        opened = os.open(self._at(path), flags, dir_fd=self._folder)
        if path == f"/{self._slow}":
            self._waiting.add(opened)
        return opened

    def create(self, path: str, mode: int, fi: object = None) -> int:
        return os.open(self._at(path), os.O_RDWR | os.O_CREAT | os.O_TRUNC, mode, dir_fd=self._folder)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        self._wait_unless(self._slow and fh not in self._waiting)
        return os.pread(fh, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        self._wait_unless(self._slow)
        return os.pwrite(fh, data, offset)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        opened = os.dup(fh) if fh else self.open(path, os.O_WRONLY)
        try:
            os.truncate(opened, length)
        finally:
            os.close(opened)
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        self._wait_unless(self._slow)
        os.fsync(fh)
        return 0

    def release(self, path: str, fh: int) -> int:
        self._waiting.discard(fh)
        os.close(fh)
        return 0

    def rename(self, old: str, new: str) -> int:
        os.rename(self._at(old), self._at(new), src_dir_fd=self._folder, dst_dir_fd=self._folder)
        return 0

    def unlink(self, path: str) -> int:
        os.unlink(self._at(path), dir_fd=self._folder)
        return 0

    def mkdir(self, path: str, mode: int) -> int:
        os.mkdir(self._at(path), mode, dir_fd=self._folder)
        return 0

    def chmod(self, path: str, mode: int) -> int:
        opened = self.open(path, os.O_RDONLY)
        try:
            os.fchmod(opened, mode)
        finally:
            os.close(opened)
        return 0


def _serve(folder: Path, mark: Path, slow: str) -> NoReturn:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # not a moment longer than the command
    hidden = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    # Threads: what does not hang is served beside what does.
    mfusepy.FUSE(_Disk(hidden, mark, slow), str(folder), foreground=True, max_threads=30)
    os._exit(0)


def _is_mounted(folder: str) -> bool:
    """Not by looking at the folder, which would hang."""
    return any(line.split()[4] == folder for line in Path("/proc/self/mountinfo").read_text().splitlines())


def main() -> None:
    """Run the rest of the words with the disk in place; the first three are the folder, the mark and the file."""
    folder, mark, slow, *command = sys.argv[1:]
    if not os.fork():
        _serve(Path(folder), Path(mark), slow)
    while not _is_mounted(folder):
        time.sleep(0.02)
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main()
