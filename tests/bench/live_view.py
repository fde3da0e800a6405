"""What the live view costs a run: its processor time on a terminal, and with --quiet, for the same guests."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lab.screen import Screen
from support import PROGRAM, write_config

GUESTS = 100
REPEATS = 5
ENDS = 20.0  # seconds after which the guests go off
DROPIN = """\
import lastcall
from lastcall.hypervisor.bare_connection import make_world
WORLD = make_world([f"guest-{{number:03}}" for number in range({guests})])
@lastcall.hookimpl
def on_guest_stop(guest, run):
    run.sleep({seconds} - int(guest.name[-3:]) % 10)
"""
"""Guests of the driver inside the process that go off one after the other: something changes all the time."""


def rows() -> Iterator[str]:
    """The table, a line each."""
    quiet, live = min(_cpu("-q") for _ in range(REPEATS)), min(_cpu() for _ in range(REPEATS))
    yield f"| {GUESTS} guests that take {ENDS:.0f} s | CPU |"
    yield "| --- | ---: |"
    yield f"| `lastcall -q shutdown` | {quiet:.2f} s |"
    yield f"| the same with the live view | {live:.2f} s |"


def _cpu(*options: str) -> float:
    """Seconds of the processor that a shutdown takes on a terminal of 120 x 40."""
    with tempfile.TemporaryDirectory(prefix="lastcall-bench-") as name:
        config = write_config(Path(name), "test:///default", more="hooks: {timeout: 2min}\n")
        (Path(name) / "hooks.d" / "10-world.py").write_text(DROPIN.format(guests=GUESTS, seconds=ENDS))
        screen = Screen([PROGRAM, "--config", config, *options, "shutdown", "--yes"], 120, 40)
        while screen.read(1.0):
            pass
        _, status, used = os.wait4(screen.process, 0)
        os.close(screen.terminal)
        assert os.waitstatus_to_exitcode(status) == 0, screen.text
        (log,) = (Path(name) / "state" / "runs").glob("*.jsonl")
        assert json.loads(log.read_text().splitlines()[-1])["at"] > ENDS
        return used.ru_utime + used.ru_stime
