"""The lock of a run, and the numbers of processes that stand in it."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from lastcall.runs.lock import Holder, Request, RunLock

TELL = """\
import sys
from pathlib import Path
from lastcall.runs.lock import Request, RunLock
RunLock(Path(sys.argv[1])).tell(Request("power", 7.0))
"""


@pytest.mark.parametrize("kind", ["shutdown", "restore"])
def test_a_process_with_the_number_of_a_run_that_is_gone_is_left_alone(tmp_path: Path, kind: str) -> None:
    """Somebody else holds the lock for a moment (`lastcall announce` looks at it so), and the name in it is old."""
    innocent = subprocess.Popen(["sleep", "60"])
    lock, said = RunLock(tmp_path), list[str]()
    lock.path.write_text(json.dumps(asdict(Holder(kind, "poweroff", innocent.pid))))
    with lock.path.open() as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        release = threading.Timer(0.5, lambda: fcntl.flock(other, fcntl.LOCK_UN))
        release.start()
        try:
            assert not lock.tell(Request("power", time.monotonic() + 60))
            now = time.monotonic()
            ours = Holder("shutdown", "poweroff", os.getpid())
            lock.take_over(ours, ends=now + 60, until=now + 30, say=said.append)
            assert lock.holder() == ours
            assert innocent.poll() is None
            assert said == []
        finally:
            release.join()
            lock.release()
            innocent.kill()
            innocent.wait()


def test_a_run_that_may_not_be_looked_into_is_believed_to_hold_its_lock(tmp_path: Path) -> None:
    """As from a unit with fewer capabilities than a run by hand has."""
    lock = RunLock(tmp_path)
    lock.take(Holder("shutdown", "poweroff", os.getpid()))
    with lock.path.open() as held:
        sleeper = subprocess.Popen(["sleep", "60"], stdin=held)
    lock.release()
    lock.take(Holder("shutdown", "poweroff", sleeper.pid))
    lesser = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", sys.executable, "-c", TELL]
    try:
        subprocess.run([*lesser, str(tmp_path)], check=True, timeout=60)
        assert sleeper.poll() == -signal.SIGUSR1, "it was told"
    finally:
        sleeper.kill()
        sleeper.wait()
        lock.release()
