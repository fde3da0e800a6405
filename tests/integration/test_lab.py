"""The lab leaves nothing behind, however the process ends that made it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.leftovers import leftovers, wait_until_nothing_is_left
from lab.patience import LONGEST
from support import AWAKE

PROGRAM = """
import sys, time
sys.path.insert(0, {tests!r})
from lab.daemon import daemon
from lab.guests import firmware_guests
with daemon() as lab, firmware_guests(lab, "left-behind"):
    print(lab.folder, flush=True)
    time.sleep(3000)
"""


@pytest.mark.real_guests
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_one_that_made_the_lab(number: signal.Signals) -> None:
    text = PROGRAM.format(tests=str(Path(__file__).parents[1]))
    process = subprocess.Popen(
        [*AWAKE, sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout
    folder = process.stdout.readline().strip()
    assert len(leftovers(folder)) >= 2, "libvirtd and a guest"
    os.kill(process.pid, number)
    process.wait(LONGEST)
    process.stdout.close()
    wait_until_nothing_is_left(folder)
    if number is signal.SIGINT:
        assert not Path(folder).exists()
    else:
        subprocess.run(["rm", "-rf", folder], check=True)  # nobody is left to do it
