"""The console of the machine: who stands in front of it while it goes down sees what it is waiting for."""

import os
import threading
from collections import deque
from pathlib import Path

CONSOLE = Path("/dev/console")
_LAST_LINE = 0.25  # seconds that the last line gets


class Console:
    """Writes lines from a thread of its own: a console can hang (flow control), and lines are worth no waiting."""

    def __init__(self, path: Path = CONSOLE) -> None:
        self._path = path
        self._lines: deque[str] = deque(maxlen=1)
        self._news = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._write, name="lastcall-console", daemon=True)
        self._thread.start()

    def say(self, line: str) -> None:
        """Show a line; where the one before is still being written, later ones take each other's place."""
        self._lines.append(line)
        self._news.set()

    def close(self) -> None:
        """Give the last line a moment."""
        self._over = True
        self._news.set()
        self._thread.join(_LAST_LINE)

    def _write(self) -> None:
        over = False
        while not over:
            self._news.wait()
            self._news.clear()
            over = self._over  # what was said before is in the queue by now
            while self._lines:
                self._show(self._lines.popleft())

    def _show(self, line: str) -> None:
        try:
            # Without O_NOCTTY the console may become our terminal, and its hang-up a signal to this run.
            descriptor = os.open(self._path, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
            try:
                os.write(descriptor, f"lastcall: {line}\r\n".encode(errors="replace"))
            finally:
                os.close(descriptor)
        except OSError:
            pass  # there is none, and nobody in front of it
