"""The one door through which files are read that others may have had in their hands.

Reading neither hangs nor grows: only plain files are opened, and no more of them is read than there may be. What root
runs, or lives by, is trusted first: the file and its folders, component by component.
"""

import errno
import os
import stat
from pathlib import Path

_WRITABLE_BY_OTHERS = 0o022
_CHUNK = 1 << 18  # bytes
# O_NONBLOCK: to open a named pipe, put there since the look before, would wait for its other end.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Unreadable(OSError):
    """The file is not read: `filename` is the file or the folder above it that is wrong, `remedy` what helps."""

    def __init__(self, path: Path, why: str, remedy: str) -> None:
        """`why` follows the path: `is a named pipe`."""
        super().__init__(errno.EINVAL, why, str(path))
        self.why, self.remedy = why, remedy

    def __str__(self) -> str:
        return f"{self.filename} {self.why}"


class Untrusted(Unreadable):
    """Somebody else could have changed the file, or put it there."""


def read_text(path: Path, limit: int, *, trusted: bool = False, errors: str = "strict") -> str:
    """The text (UTF-8) of a plain file of at most `limit` bytes. Raises OSError, UnicodeDecodeError.

    `trusted`: only if nobody but root and the present user could have written it.
    """
    return read_bytes(path, limit, trusted=trusted).decode("utf-8", errors)


def read_bytes(path: Path, limit: int, *, trusted: bool = False) -> bytes:
    """The same as bytes. Raises OSError."""
    descriptor = open_trusted(path) if trusted else open_plain(path)
    parts, size = list[bytes](), 0
    try:
        # Not by its size: it may grow meanwhile, and of files that a kernel makes up the size is 0.
        while size <= limit and (part := os.read(descriptor, _CHUNK)):
            parts.append(part)
            size += len(part)
    finally:
        os.close(descriptor)
    if size > limit:
        told = f"{limit:,} bytes".replace(",", " ")
        raise Unreadable(path, f"is larger than {told}", f"look at it, and move it away: {_moved(path)}")
    return b"".join(parts)


def read_start(descriptor: int, limit: int) -> bytes:
    """The first `limit` bytes of an open file, or all that there are. Raises OSError."""
    start = b""
    while len(start) < limit and (part := os.read(descriptor, limit - len(start))):
        start += part
    return start


def read_end(path: Path, limit: int) -> bytes:
    """The last `limit` bytes of a plain file, or all that there are. Raises OSError."""
    descriptor = open_plain(path)
    try:
        os.lseek(descriptor, max(0, os.fstat(descriptor).st_size - limit), os.SEEK_SET)
        return read_start(descriptor, limit)
    finally:
        os.close(descriptor)


def open_plain(path: Path) -> int:
    """Open a plain file for reading, links followed, and return its descriptor; never waits. Raises OSError."""
    try:
        # Looked at first: to open a device may do something by itself, such as arming a watchdog.
        require_plain(path, path.stat())
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Unreadable(path, "is a link that leads in a circle", f"remove it: {_command('rm', path)}") from None
        raise
    try:
        require_plain(path, os.fstat(descriptor))  # what was opened is what is judged, not what stood there before
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_trusted(path: Path, *, folder: bool = False) -> int:
    """Open a file (or folder) for reading and return its descriptor.

    Every component has to be owned by root or the present user, not writable by group or others (a sticky folder such
    as /tmp passes if the next component is ours), and no link. Raises Untrusted, or OSError when it is not there.
    """
    reached = Path("/")
    descriptor = os.open(reached, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _check_trust(reached, os.fstat(descriptor))
        *above, name = path.absolute().parts[1:] or (".",)
        for part in above:
            reached /= part
            descriptor = _step(descriptor, part, reached, folder=True)
        reached /= name
        return _step(descriptor, name, reached, folder=folder, last=True)
    except BaseException as error:
        os.close(descriptor)
        if isinstance(error, OSError):
            error.filename = str(reached)  # and not its last part alone
        raise


def distrusted(path: Path) -> Untrusted | None:
    """Why somebody else could have written what is there, if so. Raises OSError."""
    try:
        # A link of root's to a larger disk is as good as the folder itself.
        os.close(open_trusted(Path(os.path.realpath(path))))
    except Untrusted as error:
        return error
    return None


def _step(parent: int, part: str, path: Path, *, folder: bool, last: bool = False) -> int:
    """From a folder's descriptor, which is closed, to that of what is in it."""
    found = os.stat(part, dir_fd=parent, follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        raise Untrusted(path, "is a link", _instead_of_link(path, folder=folder))
    if folder and not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "not a directory")
    if not folder:
        require_plain(path, found)
    # Of the folders on the way one need not be allowed to list what is in them.
    flags = (_FLAGS if last else os.O_PATH | os.O_CLOEXEC) | os.O_NOFOLLOW | (os.O_DIRECTORY if folder else 0)
    descriptor = os.open(part, flags, dir_fd=parent)
    try:
        opened = os.fstat(descriptor)  # what was opened is what is judged, not what stood there before
        _check_trust(path, opened, last=last)
        if not folder:
            require_plain(path, opened)
    except BaseException:
        os.close(descriptor)
        raise
    os.close(parent)
    return descriptor


def require_plain(path: Path, found: os.stat_result) -> None:
    """Raise Unreadable for pipes, devices, directories."""
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise Unreadable(path, f"is {kind} and no plain file", f"move it away: {_moved(path)}")


def _check_trust(path: Path, found: os.stat_result, *, last: bool = True) -> None:
    if found.st_uid not in {0, os.geteuid()}:
        # A folder may be somebody's home, which had better stay his.
        remedy = _command("chown root", path) + ("" if last else ", or keep the file in a folder of root's")
        raise Untrusted(path, f"is owned by user {found.st_uid}", remedy)
    sticky_folder = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
    if found.st_mode & _WRITABLE_BY_OTHERS and not sticky_folder:
        raise Untrusted(path, "is writable by group or others", _command("chmod go-w", path))


def _instead_of_link(path: Path, *, folder: bool) -> str:
    led_to = Path(os.path.realpath(path))
    if led_to.is_symlink():
        return f"it leads in a circle; remove it: {_command('rm', path)}"
    real = _quoted(led_to)
    if folder:
        return f"name {real}, or put the folder itself there"
    return f"cp --remove-destination {real} {_quoted(path)}"


def _moved(path: Path) -> str:
    return f"{_command('mv', path)} {_quoted(f'{path}.odd')}"


def _command(words: str, path: Path) -> str:
    return f"{words} {_quoted(path)}"


def _quoted(path: Path | str) -> str:
    import shlex  # here: hardly ever is anything wrong

    return shlex.quote(str(path))
