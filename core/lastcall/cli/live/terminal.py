"""The terminal that the live view is drawn on: whether it is one, its size, and whether somebody else needs it."""

import os
import select
import signal
import sys
import termios

NARROWEST, LOWEST = 40, 10  # cells and lines of a terminal that is drawn on; lines alone need less
_TYPEWRITERS = frozenset({"", "dumb", "unknown"})


class Terminal:
    """A terminal behind a descriptor. `find` one first; whoever writes to it may be held up."""

    def __init__(self, descriptor: int, encoding: str) -> None:
        self.encoding = encoding
        self._descriptor = descriptor
        self._echoes = self._has_echo()

    @classmethod
    def find(cls, descriptor: int) -> "Terminal | None":
        """The terminal, if the cursor of this one can be moved and there is room; else lines alone are for it."""
        if not os.isatty(descriptor) or os.environ.get("TERM", "") in _TYPEWRITERS:
            return None
        try:
            terminal = cls(descriptor, sys.stderr.encoding)
            width, height = terminal.size()
        except (OSError, termios.error):  # gone, as it was looked at
            return None
        return terminal if width >= NARROWEST and height >= LOWEST else None

    def size(self) -> tuple[int, int]:
        """Its cells in a line, and its lines. Raises OSError once it is gone."""
        width, height = os.get_terminal_size(self._descriptor)
        return width, height

    def is_taken(self) -> bool:
        """Whether somebody types a password, ssh's for a connection say, or the shell has it and we are in the back."""
        if self._echoes and not self._has_echo():
            return True
        try:
            return os.tcgetpgrp(self._descriptor) != os.getpgrp()
        except OSError:  # not the terminal that we are controlled by
            return False

    def write(self, text: str) -> None:
        """Write it, however long that takes. Raises OSError once the terminal is gone."""
        data = text.encode(self.encoding, "backslashreplace")
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:  # whoever started us may have left it like that
                select.select([], [self._descriptor], [])

    def _has_echo(self) -> bool:
        flags: int = termios.tcgetattr(self._descriptor)[3]
        return bool(flags & termios.ECHO)


def heeds_ctrl_c() -> bool:
    """Whether Ctrl-C reaches the run; under nohup, and behind a shell's `&`, it is ignored."""
    return signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
