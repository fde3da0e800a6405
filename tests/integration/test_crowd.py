"""More guests than a busy daemon serves at once: who waits for it costs next to nothing."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from lab.daemon import Daemon
from lab.guests import driver_guests, states
from lab.patience import LONGEST
from support import PROGRAM, write_config

GUESTS = 384


@contextmanager
def busy(daemon: Daemon) -> Generator[None]:
    """Let the daemon work a twentieth of the time."""
    over, pid = threading.Event(), daemon.pid()

    def hold() -> None:
        while not over.wait(0.015):
            os.kill(pid, signal.SIGSTOP)
            over.wait(0.285)
            os.kill(pid, signal.SIGCONT)

    holding = threading.Thread(target=hold)
    holding.start()
    try:
        yield
    finally:
        over.set()
        holding.join()


def threads_of(process: "subprocess.Popen[bytes]") -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("Threads:")[2].split()[0])


def test_guests_that_wait_for_a_busy_daemon_have_no_thread_each(lab: Daemon, tmp_path: Path) -> None:
    config, most = write_config(tmp_path, lab.test), 0
    with driver_guests(lab, [f"guest-{number:03}" for number in range(GUESTS)]) as connection:
        with busy(lab), subprocess.Popen([PROGRAM, "--config", config, "-q", "shutdown", "--yes"]) as run:
            until = time.monotonic() + LONGEST
            while run.poll() is None and time.monotonic() < until:
                most = max(most, threads_of(run))
                time.sleep(0.05)
            run.kill()
        assert run.returncode == 0
        assert set(states(connection).values()) == {"off"}
    assert most < GUESTS / 2, "it was nearly one for each, and they kept each other from working"
