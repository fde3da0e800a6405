"""Shutdown and restore again and again: nothing grows. `make soak` does more cycles."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lab.daemon import Daemon
from lab.guests import driver_guests, firmware_guests, states
from support import report_of, run_lastcall, waiting_guests, write_config

CYCLES = int(os.environ.get("LASTCALL_CYCLES", "3"))
# There are as many connections to libvirt (a socket and an eventfd each) as there were calls at a time.
COUNTS = """\
import lastcall
from pathlib import Path

@lastcall.hookimpl
def post_shutdown(run):
    found = [str(one.readlink()) for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
    run.evidence(descriptors=sum(not one.startswith(("socket:", "anon_inode:[eventfd]")) for one in found))

@lastcall.hookimpl
def post_restore(run):
    post_shutdown(run)
"""
RULES = """\
defaults: {stop: [save]}
guests:
  - {match: "guest-*", stop: [acpi], depends_on: ["real-*"]}
  - {match: guest-1, depends_on: [guest-2]}
"""


@pytest.mark.real_guests
def test_cycles_of_ten_guests_let_nothing_grow(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, lab.qemu, more=RULES)
    (tmp_path / "hooks.d" / "10-counts.py").write_text(COUNTS)
    names = [f"guest-{number}" for number in range(6)]
    counted: list[tuple[Any, ...]] = []
    with driver_guests(lab, names) as driver, firmware_guests(lab, *(f"real-{number}" for number in range(4))) as real:
        for cycle in range(1, CYCLES + 1):
            for command, now in (("shutdown", "off"), ("restore", "running")):
                done = run_lastcall(config, command, "--json")
                assert done.returncode == 0, done.stderr
                assert set({**states(driver), **states(real)}.values()) == {now}
                report = report_of(done)
                (hook,) = report["hooks"]
                counted.append((command, hook["evidence"]["descriptors"], open_files(lab.pid())))
            state = tmp_path / "state"
            assert waiting_guests(state) == []
            kept = ["history.json", "last-look.json", "runs", "state.json"]
            assert sorted(path.name for path in state.iterdir()) == kept
            assert len(list((state / "runs").iterdir())) == 2 * cycle <= 100
            assert processes(config) == 0
    for command in ("shutdown", "restore"):
        first, *_, last = [entry for entry in counted if entry[0] == command]
        assert last[1] <= first[1] + 2, f"descriptors of the runner: {counted}"
        assert last[2] <= first[2] + 4, f"descriptors of libvirtd: {counted}"


def open_files(process: int) -> int:
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


def processes(config: Path) -> int:
    """How many processes there are with this configuration."""
    command = ["pgrep", "-f", f"[-]-config {config}"]
    return len(subprocess.run(command, capture_output=True, text=True).stdout.split())


def test_the_oldest_run_logs_make_room(tmp_path: Path) -> None:
    from lastcall.testing.memory import FakeGuest, run_shutdown

    folder = tmp_path / "runs"
    folder.mkdir()
    for number in range(60):
        (folder / f"20200101T000000Z-{number:04}.jsonl").touch()
    run_shutdown(tmp_path, [FakeGuest("g")], config="runs: {keep: 40}")
    logs = sorted(path.name for path in folder.iterdir())
    assert len(logs) == 40
    assert logs[0] == "20200101T000000Z-0021.jsonl"
