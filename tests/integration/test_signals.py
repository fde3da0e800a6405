"""No run dies by a signal: from the program's first line on they wait for the run's answer, also after its end."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.patience import LONGEST, wait_until
from lab.slow_disk import on_a_slow_disk
from lastcall.persistence.mailbox import Mailbox, Request
from support import (
    AWAKE,
    PROGRAM,
    by_name_in,
    report_of,
    run_lastcall,
    start_and_wait_for,
    waiting_guests,
    write_config,
)

WORLD = "test:///default"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
SLOW_IMPORT = "import time\nopen({mark!r}, 'w').close()\ntime.sleep(1)\n"
HIT = """\
import os, signal, sys
from lastcall.cli.main import main

number, moments = getattr(signal, sys.argv.pop(1)), list(map(int, sys.argv.pop(1).split(",")))
calls = 0

def look(frame, event, argument):
    global calls
    if event == "call" and "/lastcall/" in frame.f_code.co_filename:
        calls += 1
        if calls in moments:
            os.kill(os.getpid(), number)

sys.setprofile(look)
main()
"""
"""The program, which is sent a signal at the nth calls of its own functions."""
MOMENTS = [10, 100, 500, 800, 1200, 1565, 1600, 1640, 1680, 1710, 1725, 1900, 2300, 2495]
"""Of some 2500 calls: plugins are loaded from the 700th on, the lock is taken at the 1570th, signals are answered from
the 1720th to the 2480th."""


def hit(config: Path, number: signal.Signals, moments: list[int], *words: str) -> "subprocess.CompletedProcess[str]":
    """Run the program with a signal at these moments."""
    listed = ",".join(map(str, moments))
    command = [*AWAKE, sys.executable, "-c", HIT, number.name, listed, "--config", str(config), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONGEST)


@pytest.mark.parametrize(("moment", "number"), list(zip(MOMENTS * 2, SIGNALS * 7, strict=True)))
def test_no_signal_ends_a_host_stop_at_any_moment(tmp_path: Path, moment: int, number: signal.Signals) -> None:
    config = write_config(tmp_path, WORLD)
    done = hit(config, number, [moment], "shutdown", "--json", "--reason", "power")
    assert done.returncode in {0, 1}, done.stderr
    outcome = by_name_in(report_of(done), "test")["outcome"]
    assert outcome == "stopped" if number in {signal.SIGHUP, signal.SIGUSR1} else outcome in {"stopped", "forced"}
    assert "Traceback" not in done.stderr
    assert waiting_guests(tmp_path / "state") == ["test"]


@pytest.mark.parametrize("number", SIGNALS, ids=lambda one: one.name)
def test_no_signal_ends_a_restore_at_any_moment(tmp_path: Path, number: signal.Signals) -> None:
    config = write_config(tmp_path, WORLD)
    run_lastcall(config, "shutdown")
    done = hit(config, number, MOMENTS[1:-1:2], "restore", "--json")
    assert done.returncode in {0, 1}, done.stderr
    assert report_of(done)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", SIGNALS, ids=lambda one: one.name)
def test_a_signal_while_plugins_are_loaded_waits_for_the_run(tmp_path: Path, number: signal.Signals) -> None:
    config = write_config(tmp_path, WORLD)
    mark = tmp_path / "importing"
    (tmp_path / "hooks.d" / "10-slow.py").write_text(SLOW_IMPORT.format(mark=str(mark)))
    command = [*AWAKE, PROGRAM, "--config", config, "shutdown", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(mark.exists, "the import has begun", process=process.pid, pause=0.02)
    process.send_signal(number)
    out, said = process.communicate(timeout=LONGEST)
    if number is signal.SIGUSR1:
        assert (process.returncode, by_name_in(json.loads(out), "test")["outcome"]) == (0, "stopped")
    else:
        assert "interrupted: nobody else is asked" in said
        assert process.returncode == 1
        assert by_name_in(json.loads(out), "test")["outcome"] in {"left", "skipped"}


@pytest.mark.parametrize("kind", ["shutdown", "restore"])
def test_a_program_that_is_started_meanwhile_can_be_ended(tmp_path: Path, kind: str) -> None:
    """Signals that are blocked, or ignored, would be so for every program that a hook starts."""
    config = write_config(tmp_path, WORLD)
    told = tmp_path / "told"
    (tmp_path / "hooks.d" / "10-starts.py").write_text(
        "import subprocess\n"
        f"subprocess.run(['grep', '^Sig[BIC]', '/proc/self/status'], stdout=open({str(told)!r}, 'w'))\n"
    )
    run_lastcall(config, kind)
    masks = {name: int(mask, 16) for name, mask in (line.split(":\t") for line in told.read_text().splitlines())}
    held = sum(1 << (number - 1) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1))
    assert {name: mask & held for name, mask in masks.items()} == {"SigBlk": 0, "SigIgn": 0, "SigCgt": 0}


def test_a_host_stop_that_is_told_between_its_lock_and_its_answer_knows_it(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    listed, mark = tmp_path / "state" / "state.json", tmp_path / "hangs"
    listed.write_text('{"version": 1, "guests": []}')
    mark.touch()
    slow = on_a_slow_disk(listed.parent, mark, listed.name)
    command = [*slow, PROGRAM, "--config", config, "shutdown", "--json", "--reason", "power", "--deadline", "200s"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lock = tmp_path / "run" / "lock"
    wait_until(lambda: lock.exists() and lock.read_text(), "it has the lock", process=process.pid, pause=0.02)
    announcing = subprocess.Popen(
        [PROGRAM, "--config", config, "announce", "--reason", "power", "--deadline", "100s"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_until((tmp_path / "run" / "join.json").exists, "it is told", process=announcing.pid, pause=0.02)
    time.sleep(0.2)  # the signal comes just after the request
    mark.unlink()
    out, _ = process.communicate(timeout=LONGEST)
    said, _ = announcing.communicate(timeout=LONGEST)
    report = json.loads(out)
    assert (process.returncode, by_name_in(report, "test")["outcome"]) == (0, "stopped")
    assert report["run"]["deadline"] < 150
    assert "the one that is under way answers: for power, over within" in said


def test_a_lost_terminal_is_no_command_to_a_host_stop_and_interrupts_a_run_by_hand(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    go = tmp_path / "go"
    (tmp_path / "hooks.d" / "10-waits.py").write_text(
        "import lastcall, os\n@lastcall.hookimpl\ndef pre_shutdown(run):\n    run.log('waits')\n"
        f"    while not os.path.exists({str(go)!r}):\n        run.sleep(0.05)\n"
    )
    for words, code, outcome in ((["--reason", "power"], 0, "stopped"), (["--yes"], 1, "skipped")):
        process = start_and_wait_for(config, "waits", "shutdown", "--json", *words)
        process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        go.touch()
        out, _ = process.communicate(timeout=LONGEST)
        assert (process.returncode, by_name_in(json.loads(out), "test")["outcome"]) == (code, outcome)
        go.unlink()


def test_a_host_stop_that_takes_a_restore_for_a_shutdown_ends_it(tmp_path: Path) -> None:
    """It may have read the name of whoever held the lock before."""
    config = write_config(tmp_path, WORLD)
    run_lastcall(config, "shutdown")
    (tmp_path / "hooks.d" / "10-waits.py").write_text(
        "import lastcall\n"
        "@lastcall.hookimpl\ndef pre_restore(run):\n    run.domain(run.guests[0]).destroy()\n"
        "@lastcall.hookimpl\ndef on_guest_start(guest, run):\n    run.log('waits')\n    run.sleep(50)\n"
    )
    restore = start_and_wait_for(config, "waits", "restore", "--json")
    restore.send_signal(signal.SIGUSR1)
    time.sleep(0.5)
    assert restore.poll() is None, "without a request nobody wants anything"
    Mailbox(tmp_path / "run").post(Request("power", time.monotonic() + 60))
    restore.send_signal(signal.SIGUSR1)
    out, _ = restore.communicate(timeout=LONGEST)
    assert restore.returncode == 1
    assert json.loads(out)["run"]["duration"] < 40
    assert waiting_guests(tmp_path / "state") == ["test"]


def at_the_question(config: Path) -> tuple[int, int]:
    """A shutdown that asks on its terminal, and the other end of that."""
    process, terminal = pty.fork()
    if process == 0:
        # Whoever started the tests may ignore some, which would be inherited.
        command = ["env", "--default-signal", str(PROGRAM), "--config", str(config), "shutdown"]
        os.execvp(command[0], command)  # noqa: S606
    said = b""
    while b"Stop all running guests" not in said:
        said += os.read(terminal, 4096)
    return process, terminal


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -15), (signal.SIGHUP, -1)])
def test_before_the_question_is_answered_a_signal_ends_the_program_at_once(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    process, terminal = at_the_question(write_config(tmp_path, WORLD))
    status = None
    while status is None:
        # One that comes just before Python begins to read is noticed only at the next one.
        os.kill(process, number)
        time.sleep(1)
        ended, found = os.waitpid(process, os.WNOHANG)
        status = found if ended else None
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == code
    assert not (tmp_path / "state" / "state.json").exists()


def test_a_ctrl_c_that_comes_before_the_question_ends_the_program_there(tmp_path: Path) -> None:
    terminal, theirs = os.openpty()
    command = [*AWAKE, sys.executable, "-c", HIT, "SIGINT", "10", "--config", write_config(tmp_path, WORLD), "shutdown"]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    assert process.wait(timeout=LONGEST) == 130
    os.close(terminal)
    assert not (tmp_path / "state" / "state.json").exists()


def test_what_is_ignored_stays_ignored(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD)
    mark = tmp_path / "importing"
    (tmp_path / "hooks.d" / "10-slow.py").write_text(SLOW_IMPORT.format(mark=str(mark)))
    command = ["env", "--ignore-signal=HUP", PROGRAM, "--config", config, "shutdown"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(mark.exists, "the import has begun", process=process.pid, pause=0.02)
    process.send_signal(signal.SIGHUP)
    _, said = process.communicate(timeout=LONGEST)
    assert (process.returncode, "interrupted" in said) == (0, False)
