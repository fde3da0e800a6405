"""Which files root may run: file and folders are checked component by component, without following links."""

import os
import stat
from pathlib import Path

from lastcall.errors import LastcallError

_WRITABLE_BY_OTHERS = 0o022


class Untrusted(LastcallError):
    """The file is not run; the message says which component is wrong and how."""


def open_trusted(path: Path, *, folder: bool = False) -> int:
    """Open a file (or folder) for reading and return its descriptor.

    Every component has to be owned by root or the present user, not writable by group or others (a sticky folder such
    as /tmp passes if the next component is ours), and no link. Raises Untrusted, or OSError when it is not there.
    """
    parts = path.absolute().parts
    descriptor = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _check(Path("/"), os.fstat(descriptor))
        for index, part in enumerate(parts[1:], start=1):
            last = index == len(parts) - 1
            descriptor = _step(descriptor, Path(*parts[: index + 1]), part, folder=folder or not last)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _step(parent: int, path: Path, part: str, *, folder: bool) -> int:
    found = os.stat(part, dir_fd=parent, follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        raise Untrusted(f"{path} is a link", "name the real path: links can be pointed elsewhere")
    if folder and not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(20, "not a directory", str(path))
    if not folder and not stat.S_ISREG(found.st_mode):
        raise Untrusted(f"{path} is not a regular file", "only plain files are run")
    # O_NONBLOCK: to open a named pipe, put there since the look above, would wait for its other end.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | (os.O_DIRECTORY if folder else 0)
    descriptor = os.open(part, flags, dir_fd=parent)
    try:
        _check(path, os.fstat(descriptor))  # what was opened is what is judged, not what stood there before
    except BaseException:
        os.close(descriptor)
        raise
    os.close(parent)
    return descriptor


def _check(path: Path, found: os.stat_result) -> None:
    if found.st_uid not in {0, os.geteuid()}:
        raise Untrusted(f"{path} is owned by user {found.st_uid}", f"chown root {path}")
    sticky_folder = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
    if found.st_mode & _WRITABLE_BY_OTHERS and not sticky_folder:
        raise Untrusted(f"{path} is writable by group or others", f"chmod go-w {path}")
