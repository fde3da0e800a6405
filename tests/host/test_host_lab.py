"""The lab's hosts leave nothing behind, however the process ends that made them."""

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
from pathlib import Path
sys.path.insert(0, {tests!r})
from lab.host import host
with host(Path({image!r})) as made:
    made.boot()
    print(made.folder, flush=True)
    time.sleep(300)
"""


def named(folder: str) -> list[str]:
    """Processes and mounts that name the folder."""
    found = [line for line in Path("/proc/mounts").read_text().splitlines() if folder in line]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        found += [line] if folder in line else []
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_host_outlives_the_one_that_made_it(image: Path, number: signal.Signals) -> None:
    before = set(Path("/run").iterdir())
    text = PROGRAM.format(tests=str(Path(__file__).parents[1]), image=str(image))
    process = subprocess.Popen(
        [*AWAKE, sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout
    folder = process.stdout.readline().strip()
    assert named(folder)
    os.kill(process.pid, number)
    process.wait(60)
    process.stdout.close()
    until = time.monotonic() + 30
    while named(folder) and time.monotonic() < until:
        time.sleep(0.1)
    assert named(folder) == []
    assert set(Path("/run").iterdir()) <= before
    if number is signal.SIGINT:
        assert not Path(folder).exists()
    else:
        subprocess.run(["rm", "-rf", folder], check=True)  # nobody is left to do it
