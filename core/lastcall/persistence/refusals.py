"""What the system refuses of a file of ours, as an error that names the file and says what helps."""

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from lastcall.errors import NoPermission
from lastcall.formats.reading import Unreadable
from lastcall.persistence.files import readers_of

_FULL = "make room on its file system"
_IN_THE_WAY = "move away what stands there"
_REMEDIES = {
    errno.EROFS: "mount its file system for writing",
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EIO: "see `dmesg`: its disk fails",
    errno.EISDIR: _IN_THE_WAY,
    errno.ENOTDIR: _IN_THE_WAY,
    errno.EEXIST: _IN_THE_WAY,
    errno.ENOTEMPTY: _IN_THE_WAY,
    errno.ELOOP: _IN_THE_WAY,
}
_PERMITTED = "run as root, or set paths.state and paths.run"
_NEAREST = 3  # a file, its folder, and the one above that


@contextmanager
def refusals_told(place: Path) -> Generator[None]:
    """Raise NoPermission for whatever the system refuses meanwhile; of the `place`, where it does not say of what."""
    try:
        yield
    except (BrokenPipeError, TimeoutError):
        raise  # no file: nobody listens, or a worker is still waiting
    except OSError as error:
        raise refusal(error, place) from None


def refusal(error: OSError, place: Path) -> NoPermission:
    """The error that says it."""
    path = error.filename or place
    if isinstance(error, Unreadable):
        return NoPermission(str(error), error.remedy)
    if isinstance(error, PermissionError):
        return NoPermission(f"no permission to read or write {path}", permission_remedy(Path(path)))
    why = (error.strerror or str(error) or "no answer").lower()
    return NoPermission(f"{path} cannot be read or written: {why}", _REMEDIES.get(error.errno or 0, _PERMITTED))


def permission_remedy(path: Path) -> str:
    """What helps whoever may not read or write there: root's rights, or to be in the group that may read it."""
    groups = (readers_of(folder) for folder in (path, *path.absolute().parents)[:_NEAREST])
    group = next((one for one in groups if one is not None), None)
    if group is None:
        return _PERMITTED
    name = _group_name(group)
    if group in {os.getegid(), *os.getgroups()}:
        return f"members of the group {name} may read it, and only root may write it: run as root"
    return f"run as root, or as a member of the group {name}: `usermod -aG {name} USER`, then log in anew"


def _group_name(group: int) -> str:
    import grp  # here: hardly ever is anything refused

    try:
        return grp.getgrgid(group).gr_name
    except KeyError:
        return str(group)
