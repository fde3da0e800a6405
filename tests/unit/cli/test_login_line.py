"""What making the line at login true may cost after a run."""

import math
import time
from pathlib import Path

from lastcall.cli.login_line import patience_after
from lastcall.presence.roll_call import PATIENCE
from lastcall.testing.memory import FakeGuest, run_shutdown


def test_libvirt_is_asked_once_more_in_what_the_run_has_left_and_not_where_it_was_interrupted(tmp_path: Path) -> None:
    now = time.monotonic()
    endless = run_shutdown(tmp_path, [FakeGuest("a")], config="shutdown: {deadline: none}")
    assert patience_after(endless, -math.inf) == PATIENCE
    report = run_shutdown(tmp_path, [FakeGuest("a")], config="shutdown: {deadline: 1h}")
    assert patience_after(report, now) == PATIENCE
    assert patience_after(report, now - 3600) == 0.0
    interrupted = run_shutdown(tmp_path, [FakeGuest("a", takes=5)], meanwhile=lambda _, run: run.interrupt())
    assert patience_after(interrupted, now) == 0.0
