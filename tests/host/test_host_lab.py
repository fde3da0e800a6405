"""The lab's hosts leave nothing behind, however the process ends that made them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.host import wait_until_groups_are_gone
from lab.leftovers import leftovers, wait_until_nothing_is_left
from lab.patience import LONGEST
from support import AWAKE

PROGRAM = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from lab.host import host
with host(Path({image!r})) as made:
    made.boot()
    print(made.folder, made.name, flush=True)
    time.sleep(3000)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_host_outlives_the_one_that_made_it(image: Path, number: signal.Signals) -> None:
    before = set(Path("/run").iterdir())
    text = PROGRAM.format(tests=str(Path(__file__).parents[1]), image=str(image))
    process = subprocess.Popen(
        [*AWAKE, sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout
    folder, name = process.stdout.readline().split()
    assert leftovers(folder)
    os.kill(process.pid, number)
    process.wait(LONGEST)
    process.stdout.close()
    wait_until_nothing_is_left(folder)
    assert set(Path("/run").iterdir()) <= before
    if number is signal.SIGINT:
        assert not Path(folder).exists()
    else:
        subprocess.run(["rm", "-rf", folder], check=True)  # nobody is left to do it
        wait_until_groups_are_gone(name)
    assert list(Path("/sys/fs/cgroup").glob(f"**/{name}")) == []
