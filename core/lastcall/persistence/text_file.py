"""A file that a plugin keeps or reads: whatever it has become, that costs whoever needs this one, and nobody else."""

import shlex
import threading
import time
from pathlib import Path

from lastcall.errors import LastcallError
from lastcall.formats.reading import Unreadable, read_text
from lastcall.persistence.files import PRIVATE, PUBLIC, put_in_place

LONGEST_TEXT = 1 << 20  # bytes; of what plugins keep the longest has some hundred


class TextFile:
    """A small file of a plugin, such as `TextFile(run.folder / f"{guest.file_name}.json")`.

    `limit`: the bytes (UTF-8) that it may have, for reading and for writing. `public`: everybody may read it (mode
    0644), such as a file that another service collects. All methods block as long as the disk
    does, wait for nothing else, and raise LastcallError, which names the file and what helps; never OSError, nor
    UnicodeDecodeError.
    """

    def __init__(self, path: Path, *, limit: int = LONGEST_TEXT, public: bool = False) -> None:
        self.path = path
        self._mode = PUBLIC if public else PRIVATE
        self._limit = limit

    def read(self) -> str | None:
        """The text; None where there is no such file. Raises LastcallError for what is no plain file (a folder, a named
        pipe, a device, a link that leads in a circle), what is longer than `limit`, what is no UTF-8, and what cannot
        be read.
        """
        try:
            return read_text(self.path, self._limit)
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            byte = f"byte {error.object[error.start]:#04x} at {error.start}"
            raise LastcallError(f"{self.path} is no text (UTF-8): {byte}", self._out_of_the_way()) from None
        except Unreadable as error:
            raise LastcallError(str(error), error.remedy) from None
        except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
            raise self._failed("read", error) from None

    def write(self, text: str) -> None:
        """Put this in its place (mode 0600, or as `public`), on disk before this returns: after any crash it is
        the old text or the new one, whole. Raises LastcallError for a text longer than `limit`, and where the disk
        refuses.
        """
        if len(text.encode("utf-8", "backslashreplace")) > self._limit:
            raise LastcallError(f"{self.path} cannot be written: more than {self._limit} bytes")
        # A name of its own: two hooks that write the same file at once would each put the half of the other in place.
        fresh = self.path.with_name(f".{threading.get_native_id()}.new")
        try:
            put_in_place(self.path, fresh, text, sync=True, mode=self._mode)
        except (OSError, ValueError) as error:
            raise self._failed("written", error) from None

    def remove(self) -> None:
        """Remove it, if it is there. Raises LastcallError."""
        try:
            self.path.unlink(missing_ok=True)
        except (OSError, ValueError) as error:
            raise self._failed("removed", error) from None

    def set_aside(self) -> Path:
        """Keep what cannot be understood under another name, beside it, and return that. Raises LastcallError."""
        aside = self.path.with_name(f"{self.path.name}.invalid-{time.time_ns()}")
        try:
            return self.path.rename(aside)
        except (OSError, ValueError) as error:
            raise self._failed("set aside", error) from None

    def _failed(self, what: str, error: OSError | ValueError) -> LastcallError:
        why = error.strerror if isinstance(error, OSError) else None
        remedy = f"look at it: ls -ld {shlex.quote(str(self.path))}"
        return LastcallError(f"{self.path} cannot be {what}: {(why or str(error)).lower()}", remedy)

    def _out_of_the_way(self) -> str:
        return f"move it away: mv {shlex.quote(str(self.path))} {shlex.quote(f'{self.path}.odd')}"
