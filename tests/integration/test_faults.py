"""What breaks around a run: the disk, the clock, descriptors, the runner itself, and others who want to run, too."""

import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lab.daemon import Daemon
from lab.guests import driver_guests, off, states
from lab.patience import LONGEST
from lastcall.persistence.state import open_state
from lastcall.records.report_builder import ReportBuilder
from lastcall.records.run_log import read_log
from support import (
    PROGRAM,
    at_default_paths,
    default_paths,
    kill_at,
    next_boot,
    over_in_time,
    report_of,
    run_lastcall,
    start_and_wait_for,
    waiting_guests,
    write_config,
)

SLOW = "import lastcall\n@lastcall.hookimpl\ndef {hook}(guest, run):\n    run.log('slow')\n    run.sleep({seconds})\n"


WAITS = """\
import lastcall
from pathlib import Path

@lastcall.hookimpl
def on_guest_stop(guest, run):
    run.log("slow")
    while not any({word!r} in path.read_text() for path in Path({folder!r}).glob("*.jsonl")):
        run.sleep(0.1)
"""
"""A hook that waits until the log of a run in this folder has this word."""


def names(count: int) -> list[str]:
    return [f"guest-{number:03}" for number in range(count)]


@pytest.mark.parametrize("record", range(2, 62, 3))
def test_a_run_killed_at_any_record_is_finished_by_the_next(lab: Daemon, tmp_path: Path, record: int) -> None:
    config = write_config(tmp_path, lab.test, more="guests: [{match: '*[0-4]', depends_on: ['*[5-9]']}]")
    with driver_guests(lab, names(10)) as connection:
        kill_at(config, record)
        waiting = {entry.name for entry in open_state(tmp_path / "state").entries.values()}
        assert off(connection) <= waiting, "a guest that is off has to be on the list"
        for log in (tmp_path / "state" / "runs").glob("*.jsonl"):
            assert list(read_log(log)) is not None
        assert run_lastcall(config, "shutdown").returncode == 0
        assert set(states(connection).values()) == {"off"}
        assert sorted(waiting_guests(tmp_path / "state")) == names(10)
        kill_at(config, record // 2 + 1, "restore")
        open_state(tmp_path / "state")
        assert run_lastcall(config, "restore").returncode == 0
        assert set(states(connection).values()) == {"running"}
        assert waiting_guests(tmp_path / "state") == []


@pytest.mark.parametrize("record", [3, 14, 22])
def test_wherever_the_power_is_cut_while_guests_come_back_all_of_them_are_back_after_the_next_boot(
    lab: Daemon, tmp_path: Path, record: int
) -> None:
    config = write_config(tmp_path, lab.test, more="restore: {parallel: 1, delay: 0.7s}")
    with driver_guests(lab, names(6)) as connection:
        assert run_lastcall(config, "stamp").returncode == 0
        assert run_lastcall(config, "shutdown", "--reason", "power").returncode == 0
        for boot in ("a", "b"):
            next_boot(tmp_path / "state", boot)
            assert run_lastcall(config, "stamp").returncode == 0
            kill_at(config, record, "restore")
            for name in set(names(6)) - off(connection):
                connection.lookupByName(name).destroy()
        next_boot(tmp_path / "state", "c")
        done = run_lastcall(config, "restore", "--from-unit", "--json")
        assert {one["name"]: one["outcome"] for one in report_of(done)["guests"]} == dict.fromkeys(names(6), "started")
        assert (set(states(connection).values()), waiting_guests(tmp_path / "state")) == ({"running"}, [])


FASTER = """\
import subprocess
import lastcall

@lastcall.hookimpl
def on_guest_start(guest, run):
    subprocess.run(["virsh", "-c", {uri!r}, "start", guest.name], check=True, capture_output=True)
"""


def test_one_that_somebody_starts_a_moment_before_its_restore_is_present_and_not_said_to_be_started(
    lab: Daemon, tmp_path: Path
) -> None:
    config = write_config(tmp_path, lab.test)
    with driver_guests(lab, names(2)) as connection:
        assert run_lastcall(config, "shutdown").returncode == 0
        (tmp_path / "hooks.d" / "10-faster.py").write_text(FASTER.format(uri=lab.test))
        done = run_lastcall(config, "restore", "--json")
        assert {one["outcome"] for one in report_of(done)["guests"]} == {"present"}
        assert (set(states(connection).values()), waiting_guests(tmp_path / "state")) == ({"running"}, [])


def run_in(setup: str, config: Path, *words: str, prefix: Sequence[str] = ()) -> "subprocess.CompletedProcess[str]":
    """Run the program in a mount namespace of its own, after some shell commands."""
    command = shlex.join([*prefix, str(PROGRAM), "--config", str(config), *words])
    shell = ["unshare", "--mount", "sh", "-e", "-c", f"{setup}\nexec {command}"]
    return subprocess.run(shell, capture_output=True, text=True, check=False, timeout=LONGEST)


FULL = "mount -t tmpfs -o size=16k lastcall {state}; dd if=/dev/zero of={state}/filler bs=4k 2>/dev/null || :"
READ_ONLY = "mount --bind {state} {state}; mount -o remount,ro,bind {state}"


@pytest.mark.parametrize(("setup", "why"), [(FULL, "no space left"), (READ_ONLY, "read-only file system")])
@pytest.mark.parametrize("reason", ["manual", "power"])
def test_a_full_or_read_only_state_folder_stops_no_run_and_is_said(
    lab: Daemon, tmp_path: Path, setup: str, why: str, reason: str
) -> None:
    config = write_config(tmp_path, lab.test)
    with driver_guests(lab, names(5)) as connection:
        done = run_in(setup.format(state=tmp_path / "state"), config, "shutdown", "--reason", reason, "--json")
        assert set(states(connection).values()) == {"off"}, done.stderr
        assert done.returncode == 1
        problems = {problem["what"]: problem["message"] for problem in report_of(done)["problems"]}
        assert "the list of guests to restore was not kept" in problems["state"]
        assert why in problems["state"]
        assert "run log" in problems
        assert "how long guests and hooks took was not kept" in problems["history"]


def test_a_clock_set_back_an_hour_in_mid_run_changes_nothing(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more="guests: [{match: guest-000, depends_on: guest-001}]")
    clock = tmp_path / "clock"
    clock.write_text("+0")
    (tmp_path / "hooks.d" / "10-clock.py").write_text(
        "import time, lastcall\n"
        "@lastcall.hookimpl\n"
        "def on_guest_stop(guest, run):\n"
        "    before = time.time()\n"
        f"    open({str(clock)!r}, 'w').write('-1h')\n"
        "    run.sleep(0.2)\n"
        "    run.evidence(jumped=time.time() - before)\n"
    )
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    fake = {
        "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
    with driver_guests(lab, names(2)) as connection:
        done = run_lastcall(config, "shutdown", "--reason", "power", "--deadline", "30s", "--json", env=fake)
        report = report_of(done)
        assert set(states(connection).values()) == {"off"}
        assert done.returncode == 0, report["problems"]
        jumps = [hook["evidence"]["jumped"] for guest in report["guests"] for hook in guest["hooks"]]
        assert min(jumps) < -3000, "the clock did jump"
        assert report["run"]["duration"] >= 0.4
        assert over_in_time(report)


def test_three_hundred_descriptors_are_enough_for_four_hundred_guests(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test)
    with driver_guests(lab, names(400)) as connection:
        done = run_in(":", config, "-q", "shutdown", "--json", prefix=["prlimit", "--nofile=300"])
        assert done.returncode == 0, done.stderr
        assert set(states(connection).values()) == {"off"}


def test_a_host_stop_joins_a_shutdown_by_hand_and_its_deadline_counts(lab: Daemon, tmp_path: Path) -> None:
    rules = "hooks: {timeout: 10min}\nguests: [{match: guest-000, depends_on: guest-001}]"
    config = write_config(tmp_path, lab.test, more=rules)
    hook = WAITS.format(word="RunJoined", folder=str(tmp_path / "state" / "runs"))
    (tmp_path / "hooks.d" / "10-slow.py").write_text(hook)
    with driver_guests(lab, names(2)) as connection:
        by_hand = start_and_wait_for(config, "slow", "shutdown", "--json")
        stop = run_lastcall(config, "shutdown", "--reason", "power", "--deadline", "40s", "--json")
        out, _ = by_hand.communicate(timeout=LONGEST)
        joined, ours = json.loads(out), report_of(stop)
        assert joined["run"]["reason"] == "power"
        assert 40 < joined["run"]["deadline"] < 900, "that of the host stop, which began later, not the configured one"
        assert over_in_time(joined)
        assert [guest["outcome"] for guest in joined["guests"]] == ["stopped"] * 2
        assert ours["guests"] == joined["guests"], "the run did its work: so its report is what there is to tell"
        said = [problem["message"] for problem in ours["problems"]]
        assert said[0].startswith("joins the run that is under way")
        assert "for power, over within" in said[1]
        assert (stop.returncode, set(states(connection).values())) == (0, {"off"})
        entries = open_state(tmp_path / "state").entries.values()
        assert [entry.due for entry in entries] == [True, True]


def test_a_host_stop_kills_a_run_that_hangs_and_goes_on_from_its_list(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test)
    (tmp_path / "hooks.d" / "10-slow.py").write_text(SLOW.format(hook="on_guest_stop", seconds=2))
    with driver_guests(lab, names(3)) as connection:
        hangs = start_and_wait_for(config, "slow", "shutdown")
        hangs.send_signal(signal.SIGSTOP)
        stop = run_lastcall(config, "shutdown", "--reason", "power", "--deadline", "60s", "--json")
        assert hangs.wait(timeout=LONGEST) == -signal.SIGKILL
        hangs.communicate()
        assert any(
            "kills the run that does not answer" in problem["message"] for problem in report_of(stop)["problems"]
        )
        assert (stop.returncode, set(states(connection).values())) == (0, {"off"})
        run_lastcall(config, "restore")
        assert set(states(connection).values()) == {"running"}


def test_a_host_stop_ends_a_restore_and_forgets_nobody(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more="restore: {parallel: 1, delay: 0.7s}")
    with driver_guests(lab, names(4)) as connection:
        run_lastcall(config, "shutdown")
        (tmp_path / "hooks.d" / "10-slow.py").write_text(SLOW.format(hook="on_guest_start", seconds=20))
        restore = start_and_wait_for(config, "slow", "restore")
        stop = run_lastcall(config, "shutdown", "--reason", "power", "--deadline", "60s", "--json")
        restore.communicate(timeout=LONGEST)
        assert any("ends the run" in problem["message"] for problem in report_of(stop)["problems"])
        assert set(states(connection).values()) == {"off"}
        assert sorted(waiting_guests(tmp_path / "state")) == names(4)
        assert all(entry.due for entry in open_state(tmp_path / "state").entries.values())


def test_a_second_run_by_hand_is_told_who_holds_the_lock(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more="hooks: {timeout: 10min}")
    hook = WAITS.format(word="refused", folder=str(tmp_path))
    (tmp_path / "hooks.d" / "10-slow.py").write_text(hook)
    with driver_guests(lab, names(1)):
        first = start_and_wait_for(config, "slow", "shutdown")
        second = run_lastcall(config, "shutdown")
        assert second.returncode == 5
        assert f"shutdown (manual), process {first.pid}" in second.stderr
        (tmp_path / "over.jsonl").write_text("refused")
        first.communicate(timeout=LONGEST)
        assert first.returncode == 0


def test_a_host_stop_that_finds_its_configuration_broken_uses_the_last_good_one(lab: Daemon, tmp_path: Path) -> None:
    file = default_paths(tmp_path)
    good = f"connections: [{json.dumps(lab.test)}]\nguests: [{{match: guest-000, restore: false}}]\n"
    with driver_guests(lab, names(2)) as connection:
        file.write_text(good)
        assert at_default_paths(tmp_path, "check").returncode == 0
        kept = tmp_path / "lib" / "lastcall" / "last-good.json"
        assert kept.stat().st_mode & 0o777 == 0o600
        file.write_text("connections: [\n")
        by_hand = at_default_paths(tmp_path, "shutdown")
        assert by_hand.returncode == 6
        assert set(states(connection).values()) == {"running"}
        stop = at_default_paths(tmp_path, "shutdown", "--reason", "power", "--json")
        report: Any = report_of(stop)
        assert (stop.returncode, report["run"]["config"]) == (1, "last_good")
        assert "not valid YAML" in report["problems"][0]["message"]
        assert set(states(connection).values()) == {"off"}
        assert waiting_guests(tmp_path / "lib" / "lastcall") == ["guest-001"]


def test_at_boot_only_what_the_last_shutdown_of_the_host_stopped_is_started(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more="guests: [{match: guest-002, restore: always}]")
    with driver_guests(lab, names(3)) as connection:
        run_lastcall(config, "restore", "--from-unit")  # the host has booted
        run_lastcall(config, "shutdown", "guest-002")  # by hand, and the host stops without lastcall: not due
        next_boot(tmp_path / "state", "a")
        done = run_lastcall(config, "restore", "--from-unit", "--json")
        assert report_of(done)["guests"] == []
        run_lastcall(config, "shutdown", "guest-000")  # by name, and so not to come back with the host
        run_lastcall(config, "shutdown", "guest-001", "--reason", "power")
        waiting = {line.split()[0]: line for line in run_lastcall(config, "status").stdout.splitlines()}
        assert waiting["guest-001"].endswith("waits to be restored at the next boot")
        assert waiting["guest-002"].endswith("waits to be restored by `lastcall restore guest-002`")
        same_boot = run_lastcall(config, "restore", "--from-unit", "--json")
        assert report_of(same_boot)["guests"] == [], "the host has not booted since"
        next_boot(tmp_path / "state", "b")
        done = run_lastcall(config, "restore", "--from-unit", "--json")
        started = {guest["name"]: guest["outcome"] for guest in report_of(done)["guests"]}
        assert started == {"guest-001": "started"}
        assert states(connection)["guest-002"] == "off", "it is on the list, and waits for a person"
        run_lastcall(config, "restore", "guest-000")
        run_lastcall(config, "forget", "guest-002")
        done = run_lastcall(config, "restore", "--from-unit", "--json")
        assert report_of(done)["guests"] == [], "once a boot: somebody may have stopped it on purpose since"
        next_boot(tmp_path / "state", "c")
        done = run_lastcall(config, "restore", "--from-unit", "--json")
        assert [guest["name"] for guest in report_of(done)["guests"]] == ["guest-002"]
        assert set(states(connection).values()) == {"running"}


def test_the_report_of_a_killed_run_can_still_be_told(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test)
    (tmp_path / "hooks.d" / "10-slow.py").write_text(SLOW.format(hook="on_guest_stop", seconds=0.3))
    with driver_guests(lab, names(3)):
        process = start_and_wait_for(config, "guest-000: acpi", "shutdown")
        time.sleep(0.2)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        (log,) = (tmp_path / "state" / "runs").glob("*.jsonl")
        report = ReportBuilder(read_log(log)).report()
        assert [guest.name for guest in report.guests] == names(3)
