"""The lock of a run, and the numbers of processes that stand in it."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path

import pytest

from lastcall.persistence.mailbox import Mailbox, Request
from lastcall.runs.lock import RunLock
from lastcall.runs.meanwhile.holder import Holder

TELL = """\
import sys
from pathlib import Path
from lastcall.runs.lock import RunLock
from lastcall.persistence.mailbox import Request
RunLock(Path(sys.argv[1])).tell(Request("power", 7.0))
"""


@contextlib.contextmanager
def held_for_a_moment(lock: RunLock) -> Generator[None]:
    """Somebody else holds the lock, and lets go of it soon."""
    with lock.path.open() as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        release = threading.Timer(0.5, lambda: fcntl.flock(other, fcntl.LOCK_UN))
        release.start()
        try:
            yield
        finally:
            release.join()


@pytest.mark.parametrize("kind", ["shutdown", "restore"])
def test_a_process_with_the_number_of_a_run_that_is_gone_is_left_alone(tmp_path: Path, kind: str) -> None:
    """Somebody else holds the lock for a moment (`lastcall announce` looks at it so), and the name in it is old."""
    innocent = subprocess.Popen(["sleep", "60"])
    lock, said = RunLock(tmp_path), list[str]()
    lock.path.write_text(json.dumps(asdict(Holder(kind, "poweroff", innocent.pid))))
    try:
        with held_for_a_moment(lock):
            assert not lock.tell(Request("power", time.monotonic() + 60))
            now = time.monotonic()
            ours = Holder("shutdown", "poweroff", os.getpid())
            lock.take_over(ours, ends=now + 60, until=now + 30, say=said.append)
            assert lock.holder() == ours
            assert innocent.poll() is None
            assert said == []
    finally:
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


DIES = """\
import os, sys
from pathlib import Path
from lastcall.runs.lock import RunLock
from lastcall.runs.meanwhile.holder import Holder
lock = RunLock(Path(sys.argv[1]))
lock.take(Holder(sys.argv[2], sys.argv[3], os.getpid()))
print("holds", flush=True)
sys.stdin.readline()
"""


def dying_holder(folder: Path, kind: str, reason: str) -> "subprocess.Popen[str]":
    """Who holds the lock until it gets a line, and is not waited for then: a zombie."""
    command = [sys.executable, "-c", DIES, str(folder), kind, reason]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout
    assert holder.stdout.readline() == "holds\n"
    return holder


def let_die(holder: "subprocess.Popen[str]") -> None:
    """Let it end, without waiting for it."""
    holder.kill()
    state = Path(f"/proc/{holder.pid}/stat")
    while state.read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)


@pytest.mark.parametrize("kind", ["shutdown", "restore"])
def test_a_zombie_whose_name_stands_in_the_lock_is_not_who_holds_it(tmp_path: Path, kind: str) -> None:
    zombie, lock, said = dying_holder(tmp_path, kind, "poweroff"), RunLock(tmp_path), list[str]()
    let_die(zombie)
    try:
        with held_for_a_moment(lock):
            assert not lock.tell(Request("power", time.monotonic() + 60))
            now = time.monotonic()
            lock.take_over(Holder("shutdown", "poweroff", os.getpid()), ends=now + 60, until=now + 30, say=said.append)
            assert said == []
    finally:
        lock.release()
        zombie.communicate()


def test_a_run_that_dies_while_it_is_joined_gives_its_lock_to_whoever_asked(tmp_path: Path) -> None:
    """Its parent has not noticed: by the process table it lives, and would be waited for, and killed."""
    dying, lock, said = dying_holder(tmp_path, "shutdown", "manual"), RunLock(tmp_path), list[str]()
    dying.send_signal(signal.SIGSTOP)  # else the request's signal ended it
    death = threading.Timer(0.5, dying.kill)
    death.start()
    now = time.monotonic()
    try:
        lock.take_over(Holder("shutdown", "poweroff", os.getpid()), ends=now + 600, until=now + 500, say=said.append)
        assert [line.split()[0] for line in said] == ["joins"], "nobody had to be killed"
        assert Mailbox(tmp_path).request() is None, "the request is not left behind for the next run"
    finally:
        death.join()
        lock.release()
        dying.communicate()


@pytest.mark.parametrize("kind", ["shutdown", "restore"])
def test_getting_the_lock_takes_a_part_of_what_is_left_only(tmp_path: Path, kind: str) -> None:
    deaf, lock = dying_holder(tmp_path, kind, "manual"), RunLock(tmp_path)
    deaf.send_signal(signal.SIGSTOP)
    now = time.monotonic()
    lock.take_over(Holder("shutdown", "poweroff", os.getpid()), ends=now + 8, until=now + 6, say=lambda _: None)
    took = time.monotonic() - now
    lock.release()
    assert deaf.wait(timeout=60) in {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGUSR1}
    deaf.communicate()
    assert took < 4.5, "less than the whole time to answer"
