"""Files that are the old one or the new one, whole, after any crash."""

import os
from pathlib import Path

LAST_MOMENT = 0.25  # seconds that writing gets although a run's deadline is over


def write_whole(path: Path, content: str, *, sync: bool = True) -> None:
    """Write a file (mode 0600) beside the old one and put it in its place. Blocks; raises OSError.

    `sync`: bring it to disk first, so that it survives a power cut; what nobody misses does not have to.
    """
    private_folder(path.parent)
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        # First the content to disk, then the name. The other way round a power cut may leave the name with nothing in
        # it, and an empty list of guests made libvirt-guests forget them all.
        # A lone surrogate becomes its escape, as which JSON knows it: it must not cost everybody else on the list.
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(content)
            file.flush()
            if sync:
                os.fsync(file.fileno())
    except OSError:
        fresh.unlink(missing_ok=True)  # what a full disk cut off is of no use, and takes room
        raise
    fresh.replace(path)
    if not sync:
        return
    # The new name is an entry of the folder: until that is on disk, too, a power cut brings the old file back.
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def private_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, readable by root alone. Raises OSError."""
    if folder.is_dir():
        return
    for path in (*reversed(folder.parents), folder):
        path.mkdir(exist_ok=True, mode=0o700)  # `parents=True` would make the others readable by everybody
