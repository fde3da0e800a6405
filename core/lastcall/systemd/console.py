"""The console of the machine: who stands in front of it while it goes down sees what it is waiting for."""

import os
from pathlib import Path

from lastcall.formats.visible_text import visible
from lastcall.threads.outbox import Outbox

CONSOLE = Path("/dev/console")
_LAST_LINE = 0.25  # seconds that the last line gets


class Console:
    """Writes lines from a thread of its own: a console can hang (flow control), and lines are worth no waiting."""

    def __init__(self, path: Path = CONSOLE) -> None:
        self._path = path
        self._lines = Outbox(self._show, "lastcall-console", room=1)

    def say(self, line: str) -> None:
        """Show a line; where the one before is still being written, later ones take each other's place."""
        self._lines.put(line)

    def close(self) -> None:
        """Give the last line a moment."""
        self._lines.close(_LAST_LINE)

    def _show(self, lines: list[str], _dropped: int) -> None:
        try:
            # Without O_NOCTTY the console may become our terminal, and its hang-up a signal to this run.
            descriptor = os.open(self._path, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
            try:
                os.write(descriptor, f"lastcall: {visible(lines[-1])}\r\n".encode())
            finally:
                os.close(descriptor)
        except OSError:
            pass  # there is none, and nobody in front of it
