"""`lastcall sleep` with a real daemon: who is paused or saved, who goes on, what is told, what stands in its way."""

import json
import os
import signal
from pathlib import Path

import libvirt
import pytest

from json_documents import hold_against_schema
from lab.daemon import Daemon
from lab.guests import driver_guests, states
from lastcall.persistence.state import open_state
from lastcall.runs.lock import RunLock
from lastcall.runs.meanwhile.holder import Holder
from support import at_default_paths, by_name_in, default_paths, run_lastcall, start_and_wait_for, write_config

NAMES = ["app", "db", "plain"]
RULES = "guests: [{match: app, sleep: pause}, {match: db, sleep: save}]\n"
AWAKE = dict.fromkeys(NAMES, "running")
ASLEEP = {"app": "paused", "db": "off", "plain": "running"}


def test_guests_are_paused_and_saved_and_go_on_afterwards(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more=RULES)
    with driver_guests(lab, NAMES) as connection:
        done = run_lastcall(config, "sleep", "begin", "--json")
        report = hold_against_schema(done.stdout, "sleep")
        assert {guest["name"]: guest["outcome"] for guest in report["guests"]} == {"app": "paused", "db": "saved"}
        assert (done.returncode, states(connection)) == (0, ASLEEP)
        told = hold_against_schema(run_lastcall(config, "status", "--json").stdout, "status")
        assert {(one["name"], one["how"]) for one in told["asleep"]} == {("app", "pause"), ("db", "save")}
        text = run_lastcall(config, "status").stdout
        assert "paused for a sleep of this host that was cut off: app" in text
        assert "saved for a sleep of this host that was cut off: db" in text
        assert "`lastcall sleep end` lets them go on" in text
        done = run_lastcall(config, "sleep", "end", "--json")
        report = hold_against_schema(done.stdout, "sleep")
        # The test driver says of every guest that it has booted.
        assert {guest["name"]: guest["outcome"] for guest in report["guests"]} == {"app": "resumed", "db": "started"}
        assert (done.returncode, states(connection)) == (0, AWAKE)
        assert "cut off" not in run_lastcall(config, "status").stdout
        assert open_state(tmp_path / "state").entries == {}
        runs = json.loads(run_lastcall(config, "runs", "--reason", "sleep", "--json").stdout)["runs"]
        assert sorted(run["kind"] for run in runs) == ["restore", "shutdown"]


def test_a_guest_says_itself_that_it_is_to_sleep(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test)
    with driver_guests(lab, NAMES) as connection:
        assert run_lastcall(config, "guest", "set", "plain", "sleep=pause").returncode == 0
        assert run_lastcall(config, "sleep", "begin").returncode == 0
        assert states(connection) == {**AWAKE, "plain": "paused"}
        assert run_lastcall(config, "sleep", "end").returncode == 0
        assert states(connection) == AWAKE


def test_nothing_is_written_of_a_sleep_in_which_nobody_is_touched(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test)
    with driver_guests(lab, NAMES) as connection:
        for moment in ("begin", "end"):
            done = run_lastcall(config, "sleep", moment)
            assert (done.returncode, states(connection)) == (0, AWAKE), done.stderr
    assert list((tmp_path / "state" / "runs").glob("*.jsonl")) == []
    assert not (tmp_path / "run" / "sleep.json").exists()


def test_while_another_run_is_under_way_nobody_is_paused_and_the_sleep_is_not_held_up(
    lab: Daemon, tmp_path: Path
) -> None:
    config = write_config(tmp_path, lab.test, more=RULES)
    other = RunLock(tmp_path / "run")
    other.take(Holder("shutdown", "manual", os.getpid()))
    with driver_guests(lab, NAMES) as connection:
        done = run_lastcall(config, "sleep", "begin")
        assert (done.returncode, states(connection)) == (5, AWAKE)
        assert "nobody is paused or saved for this sleep" in done.stderr
        other.release()


@pytest.mark.parametrize("when", ["app: pause", "db: save"])
def test_a_sleep_that_is_killed_leaves_nobody_paused_for_good(lab: Daemon, tmp_path: Path, when: str) -> None:
    config = write_config(tmp_path, lab.test, more=RULES)
    with driver_guests(lab, NAMES) as connection:
        process = start_and_wait_for(config, when, "sleep", "begin")
        process.send_signal(signal.SIGKILL)
        process.communicate()
        done = run_lastcall(config, "sleep", "end")
        assert (done.returncode, states(connection)) == (0, AWAKE), done.stderr


def test_a_list_of_guests_that_is_broken_keeps_nobody_paused(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more=RULES)
    with driver_guests(lab, NAMES) as connection:
        run_lastcall(config, "sleep", "begin")
        (tmp_path / "state" / "state.json").write_text("{")
        done = run_lastcall(config, "sleep", "end", "--json")
        assert by_name_in(json.loads(done.stdout), "app")["outcome"] == "resumed"
        assert states(connection) == AWAKE


def test_a_configuration_that_breaks_during_the_sleep_keeps_nobody_paused(lab: Daemon, tmp_path: Path) -> None:
    file = default_paths(tmp_path)
    good = f"connections: ['{lab.test}']\npaths: {{run: /run/lastcall-test}}\n{RULES}"
    file.write_text(good)
    with driver_guests(lab, NAMES) as connection:
        done = at_default_paths(tmp_path, "sleep", "begin")
        assert (done.returncode, states(connection)) == (0, ASLEEP), done.stderr
        file.write_text(f"{good}nonsense: true\n")
        done = at_default_paths(tmp_path, "sleep", "end")
        assert states(connection) == AWAKE, done.stderr
        assert "unknown key" in done.stdout


def test_who_was_resumed_by_somebody_else_is_left_alone(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more="defaults: {sleep: pause}")
    with driver_guests(lab, NAMES) as connection:
        run_lastcall(config, "sleep", "begin")
        assert set(states(connection).values()) == {"paused"}
        connection.lookupByName("app").resume()
        connection.lookupByName("db").destroy()
        done = run_lastcall(config, "sleep", "end", "--json")
        report = json.loads(done.stdout)
        assert {guest["name"]: guest["outcome"] for guest in report["guests"]} == {
            "app": "skipped", "db": "skipped", "plain": "resumed",
        }  # fmt: skip
        assert (done.returncode, states(connection)) == (0, {**AWAKE, "db": "off"})
        assert isinstance(connection, libvirt.virConnect)
