"""The lab's hosts leave nothing behind, however the process ends that made them."""

import signal
from pathlib import Path

import pytest

from lab.host import wait_until_groups_are_gone
from lab.leftovers import ended_in_the_middle, leftovers

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
    with ended_in_the_middle(text, number) as (folder, name):
        assert leftovers(folder)
    assert set(Path("/run").iterdir()) <= before
    if number is not signal.SIGINT:  # nobody is left to do it
        wait_until_groups_are_gone(name)
    assert list(Path("/sys/fs/cgroup").glob(f"**/{name}")) == []
