"""libvirtd dies at different moments of a run, and comes back or does not: nothing unconfirmed is claimed."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lab.daemon import Daemon, daemon
from lab.guests import firmware_guests, linux_guests, opened, states
from lab.patience import LONGEST
from support import PROGRAM, over_in_time, report_of, run_lastcall, waiting_guests, write_config

MOMENTS = ("pre_shutdown", "stop first", "asked first", "stopped first", "stop second")
KILLS = """
import os, signal, threading, time, lastcall
from pathlib import Path

def kill(moment):
    if moment == {moment!r} and not Path({mark!r}).exists():
        Path({mark!r}).touch()
        if {hold!r}:
            Path({hold!r}).touch()
        os.kill({pid}, signal.SIGKILL)

@lastcall.hookimpl
def pre_shutdown(run):
    kill("pre_shutdown")

@lastcall.hookimpl
def on_guest_stop(guest, run):
    kill("stop " + guest.name)
    if guest.name == "first":
        threading.Timer(0.7, kill, ["asked first"]).start()

@lastcall.hookimpl
def on_guest_stopped(guest, run):
    kill("stopped " + guest.name)
"""
RULES = """
guests: [{match: first, depends_on: [second]}]
defaults: {timeout: 1min}
"""


def run_and_kill(lab: Daemon, folder: Path, moment: str, *, back: bool) -> tuple[Any, int]:
    """A run in which the daemon dies; its report and exit code."""
    config = write_config(folder, lab.qemu, more=RULES)
    uri, patience = json.dumps(lab.qemu), "5min" if back else "8s"
    config.write_text(config.read_text().replace(uri, f"{{uri: {uri}, reconnect: {patience}}}"))
    hold = "" if back else str(lab.folder / "hold")
    text = KILLS.format(moment=moment, mark=str(folder / "mark"), hold=hold, pid=lab.pid())
    (folder / "hooks.d" / "10-kills.py").write_text(text)
    command = [str(PROGRAM), "--config", str(config), "shutdown", "--json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)
    finally:
        lab.revive()
    assert (folder / "mark").exists(), done.stderr
    return json.loads(done.stdout), done.returncode


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_daemon_that_comes_back_costs_no_guest(lab: Daemon, tmp_path: Path, moment: str) -> None:
    with linux_guests(lab, first="slow=2", second="slow=1") as guests:
        report, code = run_and_kill(lab, tmp_path, moment, back=True)
        assert {guest["name"]: guest["outcome"] for guest in report["guests"]} == dict.fromkeys(guests, "stopped"), (
            report
        )
        assert code == 0, report["problems"]
        assert [problem["message"].split()[0] for problem in report["problems"]] == ["died", "is"]
        with opened(lab.qemu) as connection:
            assert {states(connection)[name] for name in guests} == {"off"}
        assert all(guest.went_down_cleanly for guest in guests.values())


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_daemon_that_stays_away_makes_guests_unknown_never_stopped(lab: Daemon, tmp_path: Path, moment: str) -> None:
    with linux_guests(lab, first="slow=2", second="slow=1") as guests:
        report, code = run_and_kill(lab, tmp_path, moment, back=False)
        outcomes = {guest["name"]: guest["outcome"] for guest in report["guests"]}
        before = {"first"} if moment in {"stopped first", "stop second"} else set[str]()
        assert outcomes == {name: "stopped" if name in before else "unknown" for name in guests}
        assert code == 1
        # By hand, who was not asked is none of the list's business, whatever becomes of it.
        asked = {"first"} if moment not in {"pre_shutdown", "stop first"} else set[str]()
        assert set(waiting_guests(tmp_path / "state")) == asked, "who may have heard us is not forgotten"
        with opened(lab.qemu) as connection:
            now = states(connection)
        assert all(now[name] == "off" for name in before)
        assert now["second"] == "running", "nobody could ask it"


def test_a_daemon_that_freezes_in_mid_run_costs_its_own_guests_only(lab: Daemon, tmp_path: Path) -> None:
    rules = "shutdown: {deadline: 24s, reserve: 6s}\nguests: [{match: quick, stop: [save]}]"
    with daemon() as other, firmware_guests(other, "stuck"), firmware_guests(lab, "quick", "deaf"):
        config = write_config(tmp_path, lab.qemu, other.qemu, more=rules)
        (tmp_path / "hooks.d" / "10-freezes.py").write_text(
            "import lastcall, os, signal, threading\n"
            "@lastcall.hookimpl\n"
            "def on_guest_stop(guest, run):\n"
            f"    if guest.name == 'stuck': threading.Timer(0.5, os.kill, [{other.pid()}, signal.SIGSTOP]).start()\n"
        )
        try:
            done = run_lastcall(config, "shutdown", "--reason", "power", "--json")
        finally:
            os.kill(other.pid(), signal.SIGCONT)
        report = report_of(done)
        outcomes = {guest["name"]: guest["outcome"] for guest in report["guests"]}
        assert outcomes == {"quick": "saved", "deaf": "forced", "stuck": "unknown"}
        assert over_in_time(report)
        assert done.returncode == 1
