"""The lab leaves nothing behind, however the process ends that made it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support import AWAKE

PROGRAM = """
import sys, time
sys.path.insert(0, {tests!r})
from lab.daemon import daemon
from lab.guests import firmware_guests
with daemon() as lab, firmware_guests(lab, "left-behind"):
    print(lab.folder, flush=True)
    time.sleep(300)
"""


def processes(folder: str) -> list[str]:
    """The command lines that name the lab's folder."""
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if folder in line:
            found.append(line)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_one_that_made_the_lab(number: signal.Signals) -> None:
    text = PROGRAM.format(tests=str(Path(__file__).parents[1]))
    process = subprocess.Popen(
        [*AWAKE, sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout
    folder = process.stdout.readline().strip()
    assert len(processes(folder)) >= 2, "libvirtd and a guest"
    os.kill(process.pid, number)
    process.wait(60)
    process.stdout.close()
    until = time.monotonic() + 30
    while processes(folder) and time.monotonic() < until:
        time.sleep(0.1)
    assert processes(folder) == []
    if number is signal.SIGINT:
        assert not Path(folder).exists()
    else:
        subprocess.run(["rm", "-rf", folder], check=True)  # nobody is left to do it
