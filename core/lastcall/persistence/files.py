"""Files that are the old one or the new one, whole, after any crash; and who may read them, whatever the umask is.

A folder of ours is for its owner alone. Where an administrator has given it to a group to read, which its mode says
(2750), so is what is written there with the mode READERS, and nothing else: copies of the configuration and what
plugins keep stay their owner's.
"""

import contextlib
import fcntl
import os
import stat
from pathlib import Path

SMALL = 1 << 16  # bytes of a note between processes
LAST_MOMENT = 0.25  # seconds that writing gets although a run's deadline is over
PRIVATE, READERS, PUBLIC = 0o600, 0o640, 0o644
_GIVEN = stat.S_ISGID | stat.S_IRGRP | stat.S_IXGRP  # what is made in it belongs to the group, which may read


def write_whole(path: Path, content: str, *, sync: bool = True, mode: int = PRIVATE) -> None:
    """Write a file beside the old one and put it in its place. Blocks; raises OSError.

    `sync`: bring it to disk first, so that it survives a power cut; what nobody misses does not have to.
    """
    if mode == PUBLIC:
        public_folder(path.parent)
    elif mode == READERS:
        mode = readers_folder(path.parent)
    else:
        private_folder(path.parent)
    put_in_place(path, path.with_suffix(".new"), content, sync=sync, mode=mode)


def put_in_place(path: Path, fresh: Path, content: str, *, sync: bool = False, mode: int = PRIVATE) -> None:
    """Write a file under a fresh name in the same folder, and rename it. Blocks; raises OSError."""
    # Made anew: what somebody has put there, or a crash has left, would keep its mode, or be a pipe or a link.
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        # First the content to disk, then the name. The other way round a power cut may leave the name with nothing in
        # it, and an empty list of guests made libvirt-guests forget them all.
        # A lone surrogate becomes its escape, as which JSON knows it: it must not cost everybody else on the list.
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            os.fchmod(descriptor, mode)  # the umask may have taken of it
            file.write(content)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        fresh.replace(path)
    except (OSError, ValueError) as error:
        fresh.unlink(missing_ok=True)  # what a full disk cut off is of no use, and takes room
        if isinstance(error, OSError):
            error.filename = str(path)  # of a descriptor the system says no name, of a rename the other one
        raise
    if not sync:
        return
    # The new name is an entry of the folder: until that is on disk, too, a power cut brings the old file back.
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def private_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for its owner alone. Raises OSError."""
    _make(folder, 0o700)


def readers_folder(folder: Path) -> int:
    """Make a folder for its owner, and the readers of the folder above it if it has any; returns the mode of files in
    it. Raises OSError.
    """
    if not folder.is_dir():
        private_folder(folder)
        if readers_of(folder.parent) is not None:
            folder.chmod(0o2750)  # its group is that of the folder above already
    return PRIVATE if readers_of(folder) is None else READERS


def readers_of(folder: Path) -> int | None:
    """The group that may read what is kept in a folder, and not write to it; None where there is none."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_gid if found.st_mode & (_GIVEN | stat.S_IWGRP) == _GIVEN else None


def give_to_readers(folder: Path, *, of: Path) -> None:
    """Have the readers of one folder read what is kept in another that everybody may look into, as far as possible."""
    group = readers_of(of)
    if group is not None:
        with contextlib.suppress(OSError):  # readers are worth no run
            os.chown(folder, -1, group)
            folder.chmod(0o2755)


def public_folder(folder: Path) -> None:
    """The same for everybody to look into, and for its owner alone to write to. Raises OSError."""
    _make(folder, 0o755)


def _make(folder: Path, mode: int) -> None:
    if folder.is_dir():
        return
    for path in (*reversed(folder.parents), folder):  # `parents=True` would make the others as the umask has it
        if not path.is_dir():
            path.mkdir(exist_ok=True, mode=mode)
            path.chmod(mode)


def is_locked(descriptor: int) -> bool:
    """Whether somebody else holds the lock (flock) of an open file, which is closed. Raises OSError."""
    try:
        # Shared: two who ask at the same time must not take each other for who holds it.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
