"""Signals to lastcall while it loads, and at each record of its run."""

import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from faults.cases import EVERY, side_by_side
from faults.runs import HOST_STOP, RESTORE, SHUTDOWNS, Case, Mode
from faults.verdicts import faults_of
from faults.world import Worlds
from lab.patience import LONGEST

if TYPE_CHECKING:
    import subprocess

AT_A_RECORD = """\
import os, signal, sys, time
from pathlib import Path
from lastcall import Reason, RunKind
from lastcall.report.text import report_json
from lastcall.runs.assembly.stories import build_restore, build_shutdown
from lastcall.runs.request import RunRequest
from lastcall.runs.loading import load
from lastcall.runs.runner import perform

record, number, kind, reason, deadline, force = sys.argv[1:7]
config = Path(sys.argv[sys.argv.index("--config") + 1])
count = 0

def send(_):
    global count
    count += 1
    if count == int(record):
        os.kill(os.getpid(), int(number))

request = RunRequest(
    kind=RunKind(kind), reason=Reason(reason), deadline=float(deadline), sinks=[("signals", send)],
    started=time.monotonic(),
)
build = build_restore if kind == "restore" else lambda parts: build_shutdown(parts, force=force == "force")
report = perform(load(config, Reason(reason)), request, build)
print(report_json(report))
os._exit(report.run.exit_code)
"""
"""A program that does a run and sends itself a signal at its nth record."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
RECORDS = range(1, 36) if EVERY else (6, 14)
LOADED = ("pydantic_core", "libvirtmod")
"""Libraries by which one sees from outside how far the program has come."""


def at_a_record(mode: Mode, number: signal.Signals, record: int) -> Case:
    """A run that gets a signal at a record."""
    kind = "restore" if mode.restores else "shutdown"
    reason = "poweroff" if mode.host_stop else "manual"
    values = (record, number.value, kind, reason, mode.deadline, "force" if mode.forces else "")
    program = (sys.executable, "-c", AT_A_RECORD, *map(str, values))
    return Case(mode=mode, what=f"{number.name} at record {record}", program=program)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("mode", [*SHUTDOWNS, RESTORE], ids=lambda mode: mode.name)
def test_a_signal_at_any_record_ends_no_run_before_it_has_told_the_truth(
    some_worlds: Worlds, mode: Mode, number: signal.Signals
) -> None:
    cases = [at_a_record(mode, number, record) for record in RECORDS]
    runs = list(side_by_side(some_worlds, cases))
    wrong = [sentence for run in runs for sentence in faults_of(run)]
    assert not wrong, "\n".join(wrong)
    if mode is HOST_STOP:
        assert [run.case for run in runs if "running" in run.after.values()] == []


class Watcher:
    """Sends a program a signal as soon as it has loaded a library."""

    def __init__(self, library: str, number: signal.Signals) -> None:
        self._library, self._number = library, number
        self.thread = threading.Thread(target=self._watch)
        self._process: subprocess.Popen[str] | None = None

    def started(self, process: "subprocess.Popen[str]") -> None:
        """Begin to watch it."""
        self._process = process
        self.thread.start()

    def _watch(self) -> None:
        process = self._process
        until = time.monotonic() + LONGEST
        while process and process.poll() is None and time.monotonic() < until:
            if self._library in Path(f"/proc/{process.pid}/maps").read_text():
                process.send_signal(self._number)
                return
            time.sleep(0.001)


@pytest.mark.parametrize("library", LOADED)
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_to_a_host_stop_that_still_loads_is_held_back(
    some_worlds: Worlds, library: str, number: signal.Signals
) -> None:
    watcher = Watcher(library, number)
    case = Case(mode=HOST_STOP, what=f"{number.name} when {library} is loaded", started=watcher.started)
    (run,) = side_by_side(some_worlds, [case])
    watcher.thread.join(LONGEST)
    wrong = faults_of(run)
    assert not wrong, "\n".join(wrong)
    assert "running" not in run.after.values()
