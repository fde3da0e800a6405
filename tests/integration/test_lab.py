"""The lab leaves nothing behind, however the process ends that made it."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import libvirt
import pytest

from lab.daemon import Daemon, daemon
from lab.guests import FIRMWARE, opened, states
from lab.leftovers import ended_in_the_middle, leftovers, wait_until_nothing_is_left
from lab.neighbours import neighbours
from lab.patience import LONGEST, wait_until
from lab.processes import alive

PROGRAM = """
import sys, time
sys.path.insert(0, {tests!r})
from lab.daemon import daemon
from lab.guests import firmware_guests
with daemon() as lab, firmware_guests(lab, "left-behind"):
    print(lab.folder, flush=True)
    time.sleep(3000)
"""
NEIGHBOURS = """
import os, sys, time
sys.path.insert(0, {tests!r})
from lab.guests import firmware_guests
from lab.neighbours import neighbours
from lab.processes import family
with neighbours("ha", "hb") as hosts, firmware_guests(hosts[1], "left-behind"):
    print(*(host.folder for host in hosts), *(process.pid for process in family(os.getpid())[1:]), flush=True)
    time.sleep(3000)
"""


@pytest.mark.real_guests
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_one_that_made_the_lab(number: signal.Signals) -> None:
    with ended_in_the_middle(PROGRAM.format(tests=str(Path(__file__).parents[1])), number) as (folder,):
        assert len(leftovers(folder)) >= 2, "libvirtd and a guest"


@pytest.mark.real_guests
def test_of_neighbours_that_are_killed_nobody_is_left_nor_what_joined_them() -> None:
    program = NEIGHBOURS.format(tests=str(Path(__file__).parents[1]))
    with ended_in_the_middle(program, signal.SIGKILL) as (_, _, *processes):
        assert len(processes) >= 6, "two libvirtds with their namespaces, a guest, and the switch"
    wait_until(lambda: not any(map(alive, map(int, processes))), "nobody is left")


@pytest.mark.real_guests
def test_a_guest_moves_between_neighbours_and_whoever_is_unplugged_or_frozen_says_nothing() -> None:
    with neighbours("ha", "hb") as (ha, hb), opened(ha.qemu) as here, opened(hb.qemu) as there:
        guest: Any = here.defineXML(FIRMWARE.format(name="web"))  # libvirt-python takes its parameters for text
        guest.create()
        kept = libvirt.VIR_MIGRATE_PERSIST_DEST | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
        guest.migrate3(there, {}, libvirt.VIR_MIGRATE_LIVE | kept)
        assert [states(here), states(there)] == [{}, {"web": "running"}]

        def answer(*words: str, seconds: float = LONGEST) -> "subprocess.CompletedProcess[str]":
            command = ha.inside("timeout", str(seconds), "virsh", *words)
            return subprocess.run(command, capture_output=True, text=True, check=False)

        assert answer("-c", "qemu:///system", "hostname").stdout.split() == ["ha"]
        assert answer("-c", hb.tcp, "list", "--name").stdout.split() == ["web"]
        hb.unplug()
        assert answer("-c", hb.tcp, "list", seconds=4).returncode in {1, 124}, "no way, or no answer"
        hb.plug_in()
        hb.freeze()
        assert answer("-c", hb.tcp, "list", seconds=4).returncode == 124, "it hangs"
        hb.thaw()
        assert states(there) == {"web": "running"}


def test_what_a_killed_lab_has_left_goes_with_the_next_one_and_nothing_that_is_in_use(lab: Daemon) -> None:
    program = PROGRAM.format(tests=str(Path(__file__).parents[1]))
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    left = process.stdout.readline().strip()
    process.kill()
    process.wait()
    process.stdout.close()
    wait_until_nothing_is_left(left)  # but the folder: its libvirtd takes a moment to die
    try:
        assert Path(left).exists()
        for folder in (left, lab.folder):
            os.utime(folder, (0, 0))
        with daemon():
            assert not Path(left).exists()
            assert lab.folder.exists()
    finally:
        shutil.rmtree(left, ignore_errors=True)


def test_tests_that_are_told_to_end_clear_up_as_at_a_ctrl_c(tmp_path: Path) -> None:
    made = tmp_path / "made"
    test = tmp_path / "test_lingers.py"
    test.write_text(f"""
import time, pytest
from pathlib import Path
made = Path({str(made)!r})
@pytest.fixture
def something():
    made.touch()
    yield
    made.unlink()
def test_lingers(something):
    time.sleep(3000)
""")
    tests = Path(__file__).parents[1]
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", tests.parent / "pyproject.toml"]
    command = [*words, "--rootdir", tests, "-p", "conftest", test]
    process = subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tests)}, stdout=subprocess.DEVNULL
    )
    try:
        wait_until(made.exists, "the test is under way", process=process.pid)
        process.terminate()
        process.wait(LONGEST)
        assert not made.exists()
    finally:
        process.kill()
        process.wait()
