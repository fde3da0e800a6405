"""A power cut on twelve guests, fifty seconds after it: a run of the real engine on guests in memory, and the live view
of it at that moment of its clock.
"""

import signal
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import lastcall
from book.captures.drawing import still
from lastcall.cli.live.live_progress import LiveProgress
from lastcall.cli.live.terminal import Terminal
from lastcall.records.records import Record
from lastcall.testing.memory import FakeGuest, run_shutdown

COMMAND = "lastcall shutdown --reason power"
WIDTH, HEIGHT = 100, 24
MOMENT = 52.0  # seconds after the run's beginning
_CONFIG = """\
shutdown: {deadline: 4min}
hooks: {timeout: 90s}
defaults: {stop: [{acpi: {timeout: 60s}}]}
guests:
  - {match: shop, depends_on: ["db-*", cache-1]}
  - {match: "web-*", depends_on: [shop], stop: [{acpi: {timeout: 30s}}]}
  - {match: "db-*", depends_on: [storage], stop: [{acpi: {timeout: 90s}}, save]}
  - {match: mail, depends_on: [storage]}
  - {match: cache-1, stop: [save]}
  - {match: ci-runner, stop: [save], restore: false}
"""
_TAKES = {
    "web-1": 6.2, "web-2": 6.9, "shop": 9.6, "mail": 14.4, "cache-1": 120.0, "db-1": 8.5, "db-2": 60.0,
    "ci-runner": 2.4, "monitor": 3.3, "dns": 1.0, "storage": 12.0, "win-files": 300.0,
}  # fmt: skip


_DRAIN = """\
import lastcall
from lastcall.testing.memory import Hangs

@lastcall.hookimpl
def on_guest_stop(guest, run):
    if guest.name == "mail":
        run.log("142 messages are on their way")
        raise Hangs  # to the end of its time
"""
_FLUSH = """\
import lastcall

@lastcall.hookimpl
def on_guest_stop(guest, run):
    if guest.name == "db-2":
        raise lastcall.HookFailed("no connection")
"""


class _Paper(Terminal):
    """A terminal that keeps what is written to it."""

    def __init__(self) -> None:
        self.encoding = "utf-8"
        self.written = ""

    def size(self) -> tuple[int, int]:
        return WIDTH, HEIGHT

    def is_taken(self) -> bool:
        return False

    def write(self, text: str) -> None:
        self.written += text


@contextmanager
def _somebody_at_the_keyboard() -> Generator[None]:
    """Ctrl-C is heeded, also where this runs in the background of a script, whose shell has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def live_view() -> str:
    """What stands on the terminal at that moment, with its colours."""
    now, records = 0.0, list[Record]()
    with tempfile.TemporaryDirectory(prefix="lastcall-live-") as name:
        folder = Path(name).resolve()
        hooks = folder / "hooks.d"
        hooks.mkdir(mode=0o755)
        (hooks / "20-drain.py").write_text(_DRAIN)
        (hooks / "30-flush.py").write_text(_FLUSH)
        guests = [FakeGuest(name, takes=takes) for name, takes in _TAKES.items()]
        run_shutdown(folder, guests, config=_CONFIG, reason=lastcall.Reason.POWER, sink=records.append)
    paper = _Paper()
    with _somebody_at_the_keyboard():
        live = LiveProgress(paper, clock=lambda: now)
    now = MOMENT
    live.deliver([record for record in records if record.at <= MOMENT], 0)
    return f"$ {COMMAND}\n{still(paper.written)}".replace(str(folder), "/etc/lastcall")
