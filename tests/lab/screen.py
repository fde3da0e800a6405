"""The program on a terminal, as somebody in front of it sees it: a pseudo-terminal, and an emulator that reads it."""

import fcntl
import os
import pty
import select
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyte

from lab.patience import LONGEST


class Screen:
    """A program that was started on a terminal of this size."""

    def __init__(
        self,
        command: Sequence[str | Path],
        columns: int = 80,
        lines: int = 24,
        env: Mapping[str, str | None] | None = None,
    ) -> None:
        self.seen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.seen)
        self.bytes = b""
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            self._become(command, columns, lines, {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **(env or {})})

    def _become(self, command: Sequence[str | Path], columns: int, lines: int, env: Mapping[str, str | None]) -> None:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        kept = {name: value for name, value in {**os.environ, **env}.items() if value is not None}
        words = ["env", "--default-signal=INT,HUP", *map(str, command)]
        try:
            os.execvpe(words[0], words, kept)  # noqa: S606
        finally:
            os._exit(127)

    @property
    def rows(self) -> list[str]:
        """Its lines, without the spaces at their ends."""
        return [line.rstrip() for line in self.seen.display]

    @property
    def text(self) -> str:
        """All of it, without empty lines at the end."""
        return "\n".join(self.rows).rstrip()

    def read(self, seconds: float) -> bool:
        """Read what comes within this time; False once the program has closed the terminal."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            if select.select([self.terminal], [], [], left)[0]:
                try:
                    data = os.read(self.terminal, 65536)
                except OSError:  # what Linux says of a terminal that everybody has closed
                    return False
                self.bytes += data
                self._stream.feed(data)
        return True

    def until(self, true: Callable[[], bool], what: str) -> None:
        """Read until this is true of the screen."""
        ends = time.monotonic() + LONGEST
        while not true():
            goes_on = self.read(0.05)
            assert true() or (goes_on and time.monotonic() < ends), f"never: {what}\n{self.text}"

    def shows(self, text: str) -> None:
        """Read until the screen has this."""
        self.until(lambda: text in self.text, text)

    def type(self, text: str) -> None:
        """Type something."""
        os.write(self.terminal, text.encode())

    def resize(self, columns: int, lines: int) -> None:
        """Make it another size."""
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.seen.resize(lines, columns)

    def end(self) -> int:
        """Read to the end of the program, and return its exit code."""
        ends = time.monotonic() + LONGEST
        while self.read(0.2):
            assert time.monotonic() < ends, self.text
        code = self.wait()
        os.close(self.terminal)
        return code

    def wait(self) -> int:
        """Its exit code, without reading what it shows."""
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
