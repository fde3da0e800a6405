"""What reckoning the next stop anew may cost the end of a run: it waits for nobody, least of all where a host stops."""

import asyncio
import signal
import threading
import time
from pathlib import Path

import pytest

from lastcall.api.guests import Reason
from lastcall.api.results import Report
from lastcall.cli.dry_run.next_stop import refresh_next_stop
from lastcall.cli.invocation import Invocation
from lastcall.runs.assembly.parts import Parts
from lastcall.runs.loading import Loaded, load
from lastcall.runs.request import RunRequest
from lastcall.testing.memory import FakeGuest, run_shutdown


class Hangs:
    """Makes no run, until somebody lets it."""

    def __init__(self) -> None:
        self.asked, self.end = 0, threading.Event()

    def __call__(self, _loaded: Loaded, _request: RunRequest, _loop: asyncio.AbstractEventLoop) -> Parts:
        self.asked += 1
        self.end.wait()
        raise ZeroDivisionError


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    (tmp_path / "config.yaml").write_text(f"paths: {{state: {tmp_path}, run: {tmp_path}}}\n")
    return load(tmp_path / "config.yaml")


def stopped(folder: Path, reason: Reason = Reason.MANUAL, *, interrupted: bool = False) -> Report:
    guest = FakeGuest("a", takes=5)
    return run_shutdown(
        folder, [guest], reason=reason, meanwhile=lambda _, run: run.interrupt() if interrupted else None
    )


def seconds_of(report: Report, loaded: Loaded, invocation: Invocation, hangs: Hangs, patience: float) -> float:
    began = time.monotonic()
    refresh_next_stop(report, loaded, invocation, hangs, patience)
    took = time.monotonic() - began
    hangs.end.set()
    return took


def test_who_hangs_over_it_is_waited_for_in_bounded_time(tmp_path: Path, loaded: Loaded) -> None:
    hangs = Hangs()
    assert 0.2 <= seconds_of(stopped(tmp_path), loaded, Invocation(), hangs, 0.2) < 20
    assert hangs.asked == 1


def test_a_signal_as_of_a_host_that_stops_ends_the_waiting_at_once(tmp_path: Path, loaded: Loaded) -> None:
    invocation = Invocation()
    threading.Timer(0.1, invocation.signals.waiting.append, [signal.SIGTERM]).start()
    assert seconds_of(stopped(tmp_path), loaded, invocation, Hangs(), 3600) < 60


@pytest.mark.parametrize("reason", [Reason.POWEROFF, Reason.POWER, Reason.OTHER])
def test_after_a_host_stop_nobody_looks_at_all(tmp_path: Path, loaded: Loaded, reason: Reason) -> None:
    hangs = Hangs()
    seconds_of(stopped(tmp_path, reason), loaded, Invocation(), hangs, 3600)
    assert hangs.asked == 0


def test_nor_after_a_run_that_somebody_has_told_to_end(tmp_path: Path, loaded: Loaded) -> None:
    hangs = Hangs()
    seconds_of(stopped(tmp_path, interrupted=True), loaded, Invocation(), hangs, 3600)
    assert hangs.asked == 0


def test_a_bug_in_it_says_nothing_of_the_run(tmp_path: Path, loaded: Loaded) -> None:
    hangs = Hangs()
    hangs.end.set()
    assert seconds_of(stopped(tmp_path), loaded, Invocation(), hangs, 3600) < 60
    assert hangs.asked == 1
