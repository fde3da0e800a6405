"""What the live view costs a run of a hundred guests: its thread alone, and the run with it and without."""

import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.patience import LONGEST
from lab.screen import Screen
from support import PROGRAM, write_config

GUESTS = 100
REPEATS = 3
SLOW = 10.0, 25.0  # seconds from when the first, and the last, is asked until it is off: much changes, for long
QUICK = 0.0, 1.0
DROPIN = """\
import json, threading, time
import lastcall
from lastcall.hypervisor.bare_connection import make_world
from lastcall.options import RepeatableOptions

NAMES = [f"guest-{{number:03}}" for number in range({guests})]
WORLD = make_world(NAMES)

class Acpi(lastcall.StopMethod):
    name, options, repeatable = "acpi", RepeatableOptions, True
    def request(self, call):
        if call.attempt == 1:
            takes = {first} + ({last} - {first}) * NAMES.index(call.guest.name) / (len(NAMES) - 1)
            threading.Timer(takes, WORLD.lookupByName(call.guest.name).shutdown).start()

@lastcall.hookimpl
def stop_methods():
    return [Acpi()]

@lastcall.hookimpl
def post_shutdown(run, report):
    drawing = [one.ident for one in threading.enumerate() if one.name == "lastcall-live"]
    spent = sum(time.clock_gettime(time.pthread_getcpuclockid(one)) for one in drawing)
    run.evidence(threads=len(drawing), drawing=spent, process=time.process_time())
"""
"""Guests of the driver inside the process, as nothing else is as cheap to wait for: beside them the view costs most."""


@dataclass(frozen=True)
class WatchedCost:
    """Seconds: of the processor, for the whole process and for the thread that draws, and those that the run took."""

    cpu: float
    process: float
    drawing: float
    took: float

    @property
    def share(self) -> float:
        """The part of the run's processor time that goes into drawing."""
        return self.drawing / self.process


def rows() -> Iterator[str]:
    """The table, a line each."""
    yield f"| {GUESTS} guests | CPU | takes | drawing thread |"
    yield "| --- | ---: | ---: | ---: |"
    for takes in (QUICK, SLOW):
        quiet, live = [watched_costs(*[options] * REPEATS, takes=takes) for options in (["-q"], [])]
        told = min(live, key=lambda one: one.share)
        off = f"off after {takes[0]:.0f} to {takes[1]:.0f} s"
        yield f"| {off}, `lastcall -q shutdown` | {_least(quiet)} | — |"
        yield f"| {off}, with the live view | {_least(live)} | {told.drawing * 1000:.0f} ms, {told.share:.1%} |"


def _least(costs: Sequence[WatchedCost]) -> str:
    return f"{min(one.cpu for one in costs):.2f} s | {min(one.took for one in costs):.2f} s"


def watched_costs(*options: Sequence[str], takes: tuple[float, float] = SLOW) -> list[WatchedCost]:
    """A shutdown for each of these, all at the same time, each on a terminal of 120 x 40.

    `takes`: seconds from when a guest is asked until it is off, for the first and the last; the others between them.
    """
    with tempfile.TemporaryDirectory(prefix="lastcall-bench-") as name:
        runs = [_begun(Path(name) / str(number), one, takes) for number, one in enumerate(options)]
        ends = time.monotonic() + takes[1] + LONGEST
        open_ones = [screen for _, screen in runs]
        while open_ones:
            assert time.monotonic() < ends, open_ones[0].text
            open_ones = [screen for screen in open_ones if screen.read(0.5 / len(open_ones))]
        return [_cost(folder, screen) for folder, screen in runs]


def _begun(folder: Path, options: Sequence[str], takes: tuple[float, float]) -> tuple[Path, Screen]:
    folder.mkdir(mode=0o755)
    config = write_config(folder, "test:///default")
    (folder / "hooks.d" / "10-world.py").write_text(DROPIN.format(guests=GUESTS, first=takes[0], last=takes[1]))
    return folder, Screen([PROGRAM, "--config", config, *options, "shutdown", "--yes"], 120, 40)


def _cost(folder: Path, screen: Screen) -> WatchedCost:
    _, status, used = os.wait4(screen.process, 0)
    os.close(screen.terminal)
    assert os.waitstatus_to_exitcode(status) == 0, screen.text
    (log,) = (folder / "state" / "runs").glob("*.jsonl")
    records: list[Any] = [json.loads(line) for line in log.read_text().splitlines()]
    (told,) = (one["record"]["evidence"] for one in records if one.get("record", {}).get("hook") == "post_shutdown")
    return WatchedCost(used.ru_utime + used.ru_stime, told["process"], told["drawing"], records[-1]["at"])
