"""What the system refuses of a file of ours, as an error that names the file and says what helps."""

import errno
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from lastcall.errors import NoPermission
from lastcall.formats.reading import Unreadable

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
        return NoPermission(f"no permission to read or write {path}", _PERMITTED)
    why = (error.strerror or str(error) or "no answer").lower()
    return NoPermission(f"{path} cannot be read or written: {why}", _REMEDIES.get(error.errno or 0, _PERMITTED))
