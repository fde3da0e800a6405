"""The lab leaves nothing behind, however the process ends that made it."""

import signal
from pathlib import Path

import pytest

from lab.leftovers import ended_in_the_middle, leftovers

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
    with ended_in_the_middle(PROGRAM.format(tests=str(Path(__file__).parents[1])), number) as (folder,):
        assert len(leftovers(folder)) >= 2, "libvirtd and a guest"
