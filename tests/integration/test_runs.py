"""Whole runs of the program through a real libvirtd, on the guests of its test driver."""

import json
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab.daemon import Daemon, daemon
from lab.guests import driver_guests, states
from lab.libvirt_guests import LibvirtGuests, measure
from lab.patience import LONGEST
from lastcall.records.report_builder import ReportBuilder
from lastcall.records.run_log import read_log
from support import (
    PROGRAM,
    dependencies,
    report_of,
    run_lastcall,
    start_and_wait_for,
    waiting_guests,
    waits_for,
    write_config,
)


def names(count: int) -> list[str]:
    return [f"guest-{number:04}" for number in range(count)]


def test_four_hundred_guests_are_stopped_and_brought_back(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more="restore: {parallel: 0}")
    with driver_guests(lab, names(400)) as connection:
        off = connection.lookupByName("guest-0007")
        off.destroy()
        done = run_lastcall(config, "shutdown", "--json")
        report = report_of(done)
        assert done.returncode == 0
        assert [guest["outcome"] for guest in report["guests"]] == ["stopped"] * 399
        assert {guest["method"] for guest in report["guests"]} == {"acpi"}
        assert set(states(connection).values()) == {"off"}
        assert len(waiting_guests(tmp_path / "state")) == 399
        done = run_lastcall(config, "restore", "--json")
        assert [guest["outcome"] for guest in report_of(done)["guests"]] == ["started"] * 399
        assert {name for name, state in states(connection).items() if state == "off"} == {"guest-0007"}
        again = run_lastcall(config, "restore", "--json")
        assert (report_of(again)["guests"], again.returncode) == ([], 0)


def test_a_run_that_is_under_way_is_told_from_one_that_was_killed(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test)
    (tmp_path / "hooks.d" / "10-slow.py").write_text(waits_for(tmp_path / "done"))
    with driver_guests(lab, ["web-1"]):
        process = start_and_wait_for(config, "on_guest_stop", "-v", "shutdown")
        under_way = [run_lastcall(config, *words.split()).stdout for words in ("status", "report", "runs")]
        assert "nothing was unseen" in run_lastcall(config, "report", "--ack").stdout
        process.kill()
        process.communicate(timeout=LONGEST)
        assert all("is under way" in told and "killed" not in told for told in under_way), under_way
        for words in ("status", "report", "runs"):
            told = run_lastcall(config, words).stdout
            assert "did not come to its end: it was killed" in told
            assert "under way" not in told
        assert "! shutdown (manual)" in run_lastcall(config, "status").stdout
        assert "noted as seen by" in run_lastcall(config, "report", "--ack").stdout


def test_a_thousand_guests_with_three_thousand_dependencies_are_planned_and_stopped_quickly(
    lab: Daemon, tmp_path: Path
) -> None:
    """`make bench` has the figures; here it is compared with the same guests without a dependency."""
    (tmp_path / "plain").mkdir()
    plain = write_config(tmp_path / "plain", lab.test)
    config = write_config(tmp_path, lab.test, more=dependencies(names(1000), 3000))
    with driver_guests(lab, names(1000)):
        plain_plan = measure([str(PROGRAM), "--config", str(plain), "plan", "--json"])
        plan = measure([str(PROGRAM), "--config", str(config), "plan", "--json"])
        plain_stop = measure([str(PROGRAM), "--config", str(plain), "-q", "shutdown", "--json"])
    with driver_guests(lab, names(1000)) as connection:
        stop = measure([str(PROGRAM), "--config", str(config), "-q", "shutdown", "--json"])
        report = json.loads(stop.output)
        assert (report["run"]["exit_code"], set(states(connection).values())) == (0, {"off"})
        # times are rounded to milliseconds, and their sums are not exact
        ends = {guest["name"]: guest["started"] + guest["duration"] for guest in report["guests"]}
        for guest in report["guests"]:
            assert all(ends[name] <= guest["asked"] + 0.002 for name in guest["waited_for"])
        assert plan.cpu < 3 * plain_plan.cpu
        assert stop.cpu < 3 * plain_stop.cpu
        assert stop.seconds < 4 * plain_stop.seconds, "it does not sleep between one guest and the next"


def test_memory_and_threads_do_not_grow_with_the_number_of_guests(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test)
    with driver_guests(lab, names(1000)):
        done = subprocess.run(
            ["/usr/bin/time", "-f", "%M", PROGRAM, "--config", config, "-q", "shutdown", "--json"],
            capture_output=True, text=True, timeout=LONGEST, check=False,
        )  # fmt: skip
        assert len(report_of(done)["guests"]) == 1000
        assert int(done.stderr.split()[-1]) <= 100 * 1024, "peak memory in KiB"


def test_the_process_ends_right_after_the_last_guest(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test)
    with driver_guests(lab, names(100)):
        began = time.time()
        done = run_lastcall(config, "-q", "shutdown")
        ended = time.time()
    assert done.returncode == 0
    (log,) = (tmp_path / "state" / "runs").iterdir()
    records = [json.loads(line) for line in log.read_text().splitlines()]
    last = max(record["at"] for record in records if record["type"] == "GuestWentOff")
    from datetime import datetime

    started = datetime.fromisoformat(ReportBuilder(read_log(log)).report().run.started).timestamp()
    assert ended - (started + last) < 2 * (started - began), "it takes less than the start, and waits for nothing"


def test_the_libvirt_default_uri_works(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, "default")
    with driver_guests(lab, names(3)) as connection:
        done = run_lastcall(config, "shutdown", "--json", env={"LIBVIRT_DEFAULT_URI": lab.test})
        assert [guest["uri"] for guest in report_of(done)["guests"]] == [lab.test] * 3
        assert set(states(connection).values()) == {"off"}


def test_a_read_only_connection_is_said_to_be_one_and_is_exit_4(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.read_only)
    with driver_guests(lab, names(2)) as connection:
        done = run_lastcall(config, "shutdown", "--json")
        (problem,) = report_of(done)["problems"]
        assert (problem["what"], done.returncode) == ("permission", 4)
        assert "read-only" in problem["remedy"]
        assert set(states(connection).values()) == {"running"}
        assert run_lastcall(config, "check").returncode == 1


def test_a_frozen_daemon_costs_its_own_connection_only(lab: Daemon, tmp_path: Path) -> None:
    with daemon() as frozen, driver_guests(lab, names(5)) as connection:
        config = write_config(tmp_path, frozen.test, lab.test)
        config.write_text(config.read_text().replace(f'"{frozen.test}"', f'{{uri: "{frozen.test}", timeout: 3s}}'))
        pid = frozen.pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            done = run_lastcall(config, "shutdown", "--json")
        finally:
            os.kill(pid, signal.SIGCONT)
        report = report_of(done)
        assert [(problem["what"], problem["where"]) for problem in report["problems"]] == [("connection", frozen.test)]
        assert "no answer within 3 s" in report["problems"][0]["message"]
        assert set(states(connection).values()) == {"off"}
        assert done.returncode == 1


def test_the_seeds_stopvm_sh_works_unchanged_as_a_drop_in(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more=f'hooks: {{environment: {{LIBVIRT_DEFAULT_URI: "{lab.test}"}}}}\n')
    folder = tmp_path / "hooks.d" / "pre_shutdown"
    folder.mkdir()
    (folder / "stopvm.sh").write_text("#!/bin/bash\nvirsh shutdown guest-0001\nsleep 1\n")
    (folder / "stopvm.sh").chmod(0o755)
    with driver_guests(lab, names(3)) as connection:
        done = run_lastcall(config, "shutdown", "--json")
        report = report_of(done)
        assert {guest["name"]: guest["method"] for guest in report["guests"]} == {
            "guest-0000": "acpi",
            "guest-0001": None,
            "guest-0002": "acpi",
        }
        assert [guest["outcome"] for guest in report["guests"]] == ["stopped"] * 3
        assert set(states(connection).values()) == {"off"}
        assert done.returncode == 0
        run_lastcall(config, "restore")
        assert set(states(connection).values()) == {"running"}


SLOW_HOOK = """
import lastcall
@lastcall.hookimpl
def on_guest_stop(guest, run):
    run.log("about to stop")
    run.sleep(1)
"""
KILLS = """
import os, signal, lastcall
@lastcall.hookimpl
def on_guest_stop(guest, run):
    if guest.name == "guest-0004":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_no_guest_half_handled(lab: Daemon, tmp_path: Path, number: signal.Signals) -> None:
    config = write_config(tmp_path, lab.test, more="shutdown: {parallel: 2}")
    (tmp_path / "hooks.d" / "10-slow.py").write_text(SLOW_HOOK)
    with driver_guests(lab, names(6)) as connection:
        process = start_and_wait_for(config, "guest-0002: slow: about to stop", "shutdown", "--json")
        process.send_signal(number)
        out, _ = process.communicate(timeout=LONGEST)
        outcomes = {guest["name"]: guest["outcome"] for guest in json.loads(out)["guests"]}
        now = states(connection)
        assert process.returncode == 1
        assert outcomes["guest-0000"] == "stopped"
        assert outcomes["guest-0005"] == "skipped"
        for name, outcome in outcomes.items():
            assert now[name] == {"stopped": "off", "skipped": "running"}[outcome]
        assert sorted(waiting_guests(tmp_path / "state")) == sorted(name for name in now if now[name] == "off")
        run_lastcall(config, "restore")
        assert set(states(connection).values()) == {"running"}


def test_a_signal_ends_a_restore_and_the_rest_stays_on_the_list(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more="restore: {parallel: 1}")
    with driver_guests(lab, names(4)) as connection:
        run_lastcall(config, "shutdown")
        text = SLOW_HOOK.replace("on_guest_stop", "on_guest_start").replace("about to stop", "about to start")
        (tmp_path / "hooks.d" / "10-slow.py").write_text(text)
        process = start_and_wait_for(config, "guest-0001: slow: about to start", "restore")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LONGEST)
        now = states(connection)
        assert now == {"guest-0000": "running", "guest-0001": "running", "guest-0002": "off", "guest-0003": "off"}
        assert waiting_guests(tmp_path / "state") == ["guest-0002", "guest-0003"]
        run_lastcall(config, "restore")
        assert set(states(connection).values()) == {"running"}


def test_a_killed_run_leaves_a_list_from_which_restore_works(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more="shutdown: {parallel: 1}")
    (tmp_path / "hooks.d" / "10-kills.py").write_text(KILLS)
    with driver_guests(lab, names(8)) as connection:
        done = run_lastcall(config, "shutdown")
        assert done.returncode == -signal.SIGKILL
        assert list(states(connection).values()) == ["off"] * 4 + ["running"] * 4
        assert len(waiting_guests(tmp_path / "state")) == 8
        (log,) = (tmp_path / "state" / "runs").iterdir()
        ReportBuilder(read_log(log)).report()
        (tmp_path / "hooks.d" / "10-kills.py").unlink()
        done = run_lastcall(config, "restore", "--json")
        assert [guest["outcome"] for guest in report_of(done)["guests"]] == ["started"] * 4 + ["present"] * 4
        assert set(states(connection).values()) == {"running"}
        assert waiting_guests(tmp_path / "state") == []


def test_a_killed_run_started_again_stops_the_rest_and_forgets_nobody(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more="shutdown: {parallel: 1}")
    (tmp_path / "hooks.d" / "10-kills.py").write_text(KILLS)
    with driver_guests(lab, names(8)) as connection:
        run_lastcall(config, "shutdown")
        (tmp_path / "hooks.d" / "10-kills.py").unlink()
        assert run_lastcall(config, "shutdown").returncode == 0
        assert set(states(connection).values()) == {"off"}
        run_lastcall(config, "restore")
        assert set(states(connection).values()) == {"running"}


def test_a_transient_guest_and_a_paused_one_are_treated_as_what_they_are(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test)
    with driver_guests(lab, names(2)) as connection:
        xml = "<domain type='test'><name>fleeting</name><memory>1024</memory><os><type>hvm</type></os></domain>"
        connection.createXML(xml)
        connection.lookupByName("guest-0001").suspend()
        done = run_lastcall(config, "shutdown", "--json")
        found = {guest["name"]: guest for guest in report_of(done)["guests"]}
        assert (found["fleeting"]["outcome"], found["fleeting"]["persistent"]) == ("stopped", False)
        assert (found["guest-0001"]["outcome"], found["guest-0001"]["state_before"]) == ("saved", "paused")
        done = run_lastcall(config, "restore", "--json")
        assert sorted(guest["name"] for guest in report_of(done)["guests"]) == names(2)
        assert done.returncode == 0


def test_it_is_many_times_faster_than_libvirt_guests(lab: Daemon, tmp_path: Path) -> None:
    """Both are at it at the same time, on as many guests each: we are done, and done again, before they are."""
    config = write_config(tmp_path, lab.test)
    with (
        daemon() as other,
        driver_guests(other, names(40)) as connection,
        driver_guests(lab, names(40)),
        ThreadPoolExecutor(1) as aside,
    ):
        theirs = aside.submit(LibvirtGuests(tmp_path / "libvirt-guests", other.test).stop)
        for command in ("shutdown", "restore"):
            assert run_lastcall(config, "-q", command).returncode == 0
        assert "running" in states(connection).values()
        theirs.result()
        assert set(states(connection).values()) == {"off"}
