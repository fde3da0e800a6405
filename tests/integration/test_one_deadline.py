"""The deadline counts from the program's first line: whatever comes before the guests is cut from it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.patience import LONGEST
from lab.slow_disk import on_a_slow_disk
from support import PROGRAM, by_name_in, over_in_time, report_of, run_lastcall, waiting_guests, write_config

WORLD = "test:///default"
LISTED = '{"version": 1, "guests": []}'
LIMIT = 120.0
"""Seconds: what hangs would hang for ever, or for minutes."""
HANGS = {
    "at its import": "import time\ntime.sleep(600)\n",
    "in a loop": "while True: pass\n",
    "telling its options": "import lastcall, time\n@lastcall.hookimpl\ndef plugin_options():\n    time.sleep(600)\n",
    "telling its methods": "import lastcall, time\n@lastcall.hookimpl\ndef stop_methods():\n    time.sleep(600)\n",
}
TELLS = "import lastcall\n@lastcall.hookimpl\ndef on_guest_stop(guest, run):\n    run.evidence(told=True)\n"
HOLDER = """\
import fcntl, os, signal, sys, time
from pathlib import Path
from lastcall.runs.lock import RunLock
from lastcall.runs.meanwhile.holder import Holder
for number in (signal.SIGUSR1, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
if sys.argv[2] == "nobody":
    fcntl.flock(os.open(Path(sys.argv[1]) / "lock", os.O_RDWR | os.O_CREAT), fcntl.LOCK_EX)
else:
    RunLock(Path(sys.argv[1])).take(Holder(sys.argv[2], "manual", os.getpid()))
print("holds", flush=True)
time.sleep(3600)
"""
"""A program that takes the lock under this name, or without one, and answers nobody."""


def asked_in_time(report: Any, guest: str = "test") -> bool:
    """Whether a guest was asked, obeyed, and the run kept to its deadline."""
    return by_name_in(report, guest)["outcome"] == "stopped" and over_in_time(report)


@pytest.mark.parametrize(
    ("hang", "words"), [*((how, ("--reason", "power")) for how in HANGS), ("at its import", ("--yes",))]
)
def test_plugins_that_hang_while_they_are_loaded_do_not_cost_the_guests_their_time(
    tmp_path: Path, hang: str, words: tuple[str, ...]
) -> None:
    config = write_config(tmp_path, WORLD)
    for number in (10, 20, 30):
        (tmp_path / "hooks.d" / f"{number}-hangs{number}.py").write_text(HANGS[hang])
    (tmp_path / "hooks.d" / "15-tells.py").write_text(TELLS)
    done = run_lastcall(config, "shutdown", "--json", "--deadline", "40s", *words, timeout=LIMIT)
    report = report_of(done)
    assert asked_in_time(report), done.stderr
    problems = "\n".join(problem["where"] for problem in report["problems"])
    assert all(f"{number}-hangs{number}.py" in problems for number in (10, 20, 30))
    (hook,) = by_name_in(report, "test")["hooks"]
    assert hook["evidence"] == {"told": True}, "one that hangs does not keep another from loading"


@pytest.mark.parametrize(
    "setting",
    ["deadline: 16s", "by_reason: {power: {deadline: 16s}}", "deadline: 10min, by_reason: {power: {deadline: 16s}}"],
)
def test_a_configured_deadline_bounds_the_loading_of_plugins_too(tmp_path: Path, setting: str) -> None:
    config = write_config(tmp_path, WORLD, more=f"shutdown: {{{setting}}}\n")
    (tmp_path / "hooks.d" / "10-hangs.py").write_text(HANGS["at its import"])
    report = report_of(run_lastcall(config, "shutdown", "--json", "--reason", "power", timeout=LIMIT))
    assert report["run"]["deadline"] == 16
    assert asked_in_time(report)


def test_a_deadline_that_was_announced_bounds_the_loading_of_plugins_too(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    (tmp_path / "hooks.d" / "10-hangs.py").write_text(HANGS["at its import"])
    systemctl = tmp_path / "systemctl"
    systemctl.write_text("#!/bin/sh\necho 1 poweroff.target start waiting\n")
    systemctl.chmod(0o755)
    run_lastcall(config, "announce", "--reason", "power", "--deadline", "20s")
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LASTCALL_CONFIG": str(config)}
    subprocess.run([PROGRAM, "shutdown", "--from-unit"], env={**os.environ, **environment}, check=False, timeout=LIMIT)
    report = json.loads(run_lastcall(config, "report", "--json").stdout)["runs"][0]
    assert report["run"]["reason"] == "power"
    assert report["run"]["deadline"] <= 20
    assert asked_in_time(report)


def test_a_broken_configuration_does_not_give_plugins_that_hang_a_second_time(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD, more="shutdown: {deadline: 16s}\nnonsense: true\n")
    (tmp_path / "hooks.d" / "10-hangs.py").write_text(HANGS["at its import"])
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom lastcall import Reason, RunKind\n"
        "from lastcall.config import files\n"
        "from lastcall.persistence.last_good import LastGood\nfrom lastcall.runs.loading import Allowance, load\n"
        "files.DEFAULT_FILE, good = Path(sys.argv[1]), LastGood(Path(sys.argv[2]))\n"
        "good.remember({Path(sys.argv[1]): sys.argv[3]})\n"
        "allowance = Allowance(RunKind.SHUTDOWN, time.monotonic())\n"
        "print(load(None, Reason.POWER, good, allowance).origin, time.monotonic() - allowance.started)\n"
    )
    good = config.read_text().replace("nonsense: true\n", "")
    words = [sys.executable, "-c", code, str(config), str(tmp_path / "last-good.json"), good]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=LIMIT)
    origin, seconds = done.stdout.split()
    assert origin == "last_good"
    assert float(seconds) < 10


@contextmanager
def lock_held(folder: Path, kind: str) -> Generator["subprocess.Popen[str]"]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder / "run"), kind], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout
    assert holder.stdout.readline() == "holds\n"
    try:
        yield holder
    finally:
        holder.kill()
        holder.communicate()


@pytest.mark.parametrize("kind", ["shutdown", "restore", "nobody"])
def test_a_lock_whose_holder_does_not_answer_costs_a_part_of_the_deadline_only(tmp_path: Path, kind: str) -> None:
    config = write_config(tmp_path, WORLD)
    with lock_held(tmp_path, kind):
        done = run_lastcall(config, "shutdown", "--json", "--reason", "power", "--deadline", "6s", timeout=LIMIT)
    report = report_of(done)
    (lock,) = [problem for problem in report["problems"] if problem["what"] == "lock"][-1:]
    assert ("going on without" if kind == "nobody" else "kills the run") in lock["message"]
    assert asked_in_time(report), done.stderr


def run_on_a_slow_disk(config: Path, slow: str, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run the program while the state folder's disk does not bring this file, or, without one, does not answer."""
    state, mark = config.parent / "state", config.parent / "hangs"
    (state / "state.json").write_text(LISTED)
    mark.touch()
    command = [*on_a_slow_disk(state, mark, slow), str(PROGRAM), "--config", str(config), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT)


@pytest.mark.parametrize("slow", ["state.json", ""], ids=["the list", "the disk"])
@pytest.mark.parametrize("words", [("--reason", "power"), ("--yes",)], ids=["host stop", "by hand"])
def test_a_list_of_guests_that_a_disk_does_not_bring_is_gone_without(
    tmp_path: Path, words: tuple[str, ...], slow: str
) -> None:
    config = write_config(tmp_path, WORLD)
    done = run_on_a_slow_disk(config, slow, "shutdown", "--json", "--deadline", "12s", *words)
    report = report_of(done)
    assert report["run"]["duration"] < 12
    # By hand there is another day: nobody is asked of whom no list tells afterwards.
    assert (slow == "" and "--yes" in words) or asked_in_time(report), done.stderr
    (problem,) = [problem for problem in report["problems"] if problem["message"].startswith("no answer after")]
    assert problem["what"] == "state"
    if slow:  # the rest of the disk works: the list is moved away, and a new one made
        assert waiting_guests(tmp_path / "state") == ["test"]


@pytest.mark.parametrize("slow", ["state.json", ""], ids=["the list", "the disk"])
@pytest.mark.parametrize("words", [("--deadline", "6s"), ("--from-unit", "--deadline", "6s")], ids=["by hand", "boot"])
def test_a_restore_whose_list_a_disk_does_not_bring_ends_and_leaves_it_alone(
    tmp_path: Path, words: tuple[str, ...], slow: str
) -> None:
    config = write_config(tmp_path, WORLD)
    done = run_on_a_slow_disk(config, slow, "restore", *words)
    assert done.returncode == 1
    assert "cannot be read: no answer" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "state" / "state.json").read_text() == LISTED


@pytest.mark.parametrize("word", ["line", "battery"])
def test_a_word_about_the_power_is_taken_whatever_the_disk_with_the_list_does(tmp_path: Path, word: str) -> None:
    done = run_on_a_slow_disk(write_config(tmp_path, WORLD), "", "power", word, "--json")
    assert done.returncode in {0, 1}, done.stderr  # 1: no systemd here sees an outage through
    assert report_of(done)["word"] == word


def test_the_clock_of_a_run_by_hand_starts_at_the_answer_to_its_question(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    terminal, theirs = os.openpty()
    with (tmp_path / "report").open("w") as report:
        process = subprocess.Popen(
            [PROGRAM, "--config", config, "shutdown", "--json", "--deadline", "60s"],
            stdin=theirs, stdout=report, stderr=theirs,
        )  # fmt: skip
    os.close(theirs)
    said = ""
    while "Stop all running guests" not in said:
        said += os.read(terminal, 1000).decode()
    time.sleep(8)  # somebody thinks it over
    os.write(terminal, b"y\n")
    assert process.wait(timeout=LONGEST) == 0
    os.close(terminal)
    told = json.loads((tmp_path / "report").read_text())
    assert 0 < by_name_in(told, "test")["asked"] < 8
    assert told["run"]["duration"] < 8
