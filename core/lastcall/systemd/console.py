"""The console of the machine: who stands in front of it while it goes down sees what it is waiting for."""

import os
import threading
from pathlib import Path

CONSOLE = Path("/dev/console")
_LAST_LINE = 0.25  # seconds that the last line gets


class Console:
    """Writes lines from a thread of its own: a console can hang (flow control), and lines are worth no waiting."""

    def __init__(self, path: Path = CONSOLE) -> None:
        self._path = path
        self._lines: list[str] = []
        self._more, self._idle = threading.Event(), threading.Event()
        self._idle.set()
        threading.Thread(target=self._write, name="lastcall-console", daemon=True).start()

    def say(self, line: str) -> None:
        """Show a line; where the one before is still being written, later ones take each other's place."""
        self._idle.clear()
        self._lines = [line]
        self._more.set()

    def flush(self) -> None:
        """Give the last line a moment."""
        self._idle.wait(_LAST_LINE)

    def _write(self) -> None:
        while self._more.wait():
            self._more.clear()
            lines, self._lines = self._lines, []
            for line in lines:
                try:
                    descriptor = os.open(self._path, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
                    try:
                        os.write(descriptor, f"lastcall: {line}\r\n".encode(errors="replace"))
                    finally:
                        os.close(descriptor)
                except OSError:
                    pass  # there is none, and nobody in front of it
            if not self._lines:
                self._idle.set()
