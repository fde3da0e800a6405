"""The deadline holds whatever hangs, and everybody else is stopped cleanly before it."""

import contextlib
import json
import os
import signal
from collections.abc import Generator
from pathlib import Path

from lab.daemon import Daemon, daemon
from lab.guests import driver_guests, firmware_guests, linux_guests, opened, states
from lab.patience import LONGEST, wait_until
from support import over_in_time, report_of, run_lastcall, start_and_wait_for, write_config

HANGS = """
import time, lastcall

@lastcall.hookimpl
def on_guest_stop(guest, run):
    if guest.name == "hook":
        time.sleep(600)

class Agent(lastcall.StopMethod):
    name = "ask_agent"
    from lastcall.options import StepOptions as options

    def request(self, call):
        call.run.domain(call.guest).shutdown("agent")

@lastcall.hookimpl
def stop_methods():
    return [Agent()]
"""
LATER = """
import time, lastcall

@lastcall.hookimpl
def on_guest_stop(guest, run):
    if guest.name.startswith("well"):
        time.sleep(1)
"""
RULES = """
shutdown: {deadline: 24s, reserve: 8s}
hooks: {timeout: 10min}
guests:
  - {match: agent, stop: [{ask_agent: {timeout: 5min}}]}
  - {match: save, stop: [{save: {timeout: 5min}}]}
"""


def qemu_process(lab: Daemon, name: str) -> int:
    """The process of a guest's QEMU."""
    found = lab.qemu_of(name)
    assert found
    return found


@contextlib.contextmanager
def hanging(lab: Daemon, *names: str) -> Generator[None]:
    """The QEMUs of these guests do nothing for a while."""
    processes = [qemu_process(lab, name) for name in names]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


def test_a_run_is_over_by_its_deadline_whatever_hangs(lab: Daemon, tmp_path: Path) -> None:
    (tmp_path / "hooks.d").mkdir()
    (tmp_path / "hooks.d" / "10-hangs.py").write_text(HANGS)
    with (
        daemon() as frozen,
        driver_guests(frozen, ["out-of-reach"]),
        linux_guests(lab, agent="slow=1", clean="slow=2", hook="slow=0") as guests,
        firmware_guests(lab, "deaf", "save"),
    ):
        config = write_config(tmp_path, lab.qemu, frozen.test, more=RULES)
        # Its agent hears that it shall shut down, and waits for this: of one that is silent libvirt despairs by itself.
        endless = r"printf '#!/bin/sh\nexec sleep 600\n' > /sbin/shutdown; echo endless > /dev/console"
        lab.agent("agent", "/bin/sh", "-c", endless)
        wait_until(lambda: "endless" in guests["agent"].console(), "it never ends", process=lab.qemu_of("agent"))
        os.kill(frozen.pid(), signal.SIGSTOP)
        try:
            with hanging(lab, "save"):
                done = run_lastcall(config, "shutdown", "--reason", "power", "--json")
        finally:
            os.kill(frozen.pid(), signal.SIGCONT)
        report = report_of(done)
        found = {guest["name"]: guest for guest in report["guests"]}
        assert over_in_time(report), report
        assert done.returncode == 1
        assert found["clean"]["outcome"] == "stopped"
        assert guests["clean"].went_down_cleanly
        assert found["hook"]["outcome"] == "stopped", "asked when its hook had used up its time"
        assert found["hook"]["hooks"][0]["result"] == "timeout"
        assert guests["hook"].went_down_cleanly
        assert (found["deaf"]["outcome"], found["deaf"]["method"]) == ("forced", "destroy")
        assert found["agent"]["outcome"] == "forced"
        assert found["agent"]["attempts"][0]["result"] == "timeout"
        assert found["save"]["outcome"] in {"forced", "unknown", "left"}, "libvirt takes 12 s to kill a hung QEMU"
        assert found["save"]["attempts"][0]["result"] == "timeout"
        assert [problem["where"] for problem in report["problems"] if problem["what"] == "connection"] == [frozen.test]
        assert all(guest["asked"] is not None for guest in report["guests"])
        with opened(lab.qemu) as connection:
            now = states(connection)
        assert {now[name] for name in ("clean", "hook", "deaf", "agent")} == {"off"}


def test_saves_that_hang_keep_the_plug_from_nobody_else(tmp_path: Path) -> None:
    """As when the storage hangs: as many saves as libvirtd is burdened with at a time, and other guests are deaf."""
    stuck = [f"stuck-{number:02}" for number in range(12)]
    rules = 'shutdown: {deadline: 60s, reserve: 25s}\nguests: [{match: "stuck-*", stop: [{save: {timeout: 5min}}]}]\n'
    with daemon() as own, firmware_guests(own, *stuck, "deaf-1", "deaf-2"):
        config = write_config(tmp_path, own.qemu, more=rules)
        with hanging(own, *stuck):
            report = report_of(run_lastcall(config, "shutdown", "--reason", "power", "--json"))
        assert over_in_time(report)
        found = {guest["name"]: guest for guest in report["guests"]}
        assert {name: found[name]["attempts"][0]["result"] for name in stuck} == dict.fromkeys(stuck, "timeout")
        assert [found[name]["outcome"] for name in ("deaf-1", "deaf-2")] == ["forced"] * 2, found


def test_qemus_that_hang_keep_no_healthy_guest_from_being_asked(tmp_path: Path) -> None:
    """As many as have room in libvirtd, all asked before the healthy ones, and deaf until the last resort."""
    hung = [f"hung-{number:02}" for number in range(16)]
    rules = "shutdown: {deadline: 50s, reserve: 15s, grace: 5s}\ndefaults: {stop: [acpi]}\n"
    with (
        daemon() as own,
        linux_guests(own, **{"well-1": "slow=1", "well-2": "slow=1"}) as guests,
        firmware_guests(own, *hung),
    ):
        config = write_config(tmp_path, own.qemu, more=rules)
        (tmp_path / "hooks.d" / "10-later.py").write_text(LATER)
        with hanging(own, *hung):
            report = report_of(run_lastcall(config, "shutdown", "--reason", "power", "--json"))
        found = {guest["name"]: guest for guest in report["guests"]}
        assert over_in_time(report)
        tried = [(found[name]["asked"], found[name]["attempts"]) for name in guests]
        assert {name: found[name]["outcome"] for name in guests} == dict.fromkeys(guests, "stopped"), tried
        assert all(guest.went_down_cleanly for guest in guests.values())


def test_a_host_stop_that_is_under_way_heeds_what_is_announced(lab: Daemon, tmp_path: Path) -> None:
    """The UPS speaks up late: the run is over by its time, not by the one that was configured."""
    config = write_config(tmp_path, lab.qemu, more="shutdown: {deadline: 5min}")
    with firmware_guests(lab, "deaf"):
        process = start_and_wait_for(config, "deaf: acpi", "shutdown", "--reason", "poweroff", "--json")
        told = run_lastcall(config, "announce", "--reason", "power", "--deadline", "9s")
        assert "the one that is under way answers: for power, over within" in told.stdout
        output, _ = process.communicate(timeout=LONGEST)
        report = json.loads(output)
        assert (report["run"]["reason"], report["run"]["deadline"] < 300) == ("power", True)
        assert over_in_time(report)
        assert report["guests"][0]["outcome"] == "forced"
