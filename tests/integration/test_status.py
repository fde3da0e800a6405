"""`lastcall status` on a real daemon: who is there now, and what the plan of before still tells."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from json_documents import hold_against_schema
from lab.daemon import Daemon
from lab.guests import driver_guests
from support import next_boot, run_lastcall, write_config


def line(config: Path, label: str) -> str:
    (found,) = [one for one in run_lastcall(config, "status").stdout.splitlines() if one.startswith(label)]
    return found.removeprefix(label).strip()


def test_guests_are_counted_by_state_and_the_plan_holds_until_guests_or_configuration_change(
    lab: Daemon, tmp_path: Path
) -> None:
    config = write_config(tmp_path, lab.test)
    old = time.time() - 3600
    os.utime(config, (old, old))
    (tmp_path / "state").mkdir(exist_ok=True)
    with driver_guests(lab, ["db", "web", "mail"]) as connection:
        assert line(config, "next stop").startswith("not planned yet")
        connection.lookupByName("mail").suspend()
        assert line(config, "guests now") == f"2 running, 1 paused on {lab.test}"
        for words in (
            ["plan", "db"],
            ["plan", "--manual"],
            ["plan", "--deadline", "1h"],
            ["plan", "--reason", "reboot"],
        ):
            run_lastcall(config, *words)
            assert line(config, "next stop").startswith("not planned yet"), words
        run_lastcall(config, "plan")
        told = line(config, "next stop")
        assert told.startswith("3 guests: usually not known yet, at worst ")
        assert told.endswith(" of 10min; planned just now")
        connection.lookupByName("web").destroy()
        assert line(config, "guests now") == f"1 running, 1 paused, 1 off on {lab.test}"
        assert line(config, "next stop").endswith("planned just now, and since then other guests run: `lastcall plan`")
        connection.lookupByName("web").create()
        assert line(config, "next stop").endswith(" of 10min; planned just now")
        config.write_text(config.read_text() + "runs: {keep: 7}\n")
        assert line(config, "next stop").endswith("the configuration was changed: `lastcall plan`")
        run_lastcall(config, "-q", "shutdown", "--yes")
        assert line(config, "last run").endswith("; as planned")
        assert line(config, "guests now") == f"3 off on {lab.test}"
        document = hold_against_schema(run_lastcall(config, "status", "--json").stdout, "status")
        assert document["connections"] == [{"uri": lab.test, "guests": {"off": 3}}]
        assert document["next_stop"]["outdated"] == "the configuration was changed"
        assert json.loads(run_lastcall(config, "plan", "--json").stdout)["run"]["deadline"] == 600.0


def reckoned(folder: Path) -> Any:
    """What is kept of the next stop; None where nothing is."""
    file = folder / "state" / "last-plan.json"
    return json.loads(file.read_text())["plan"] if file.exists() else None


@pytest.mark.parametrize("words", [["check"], ["check", "--json"], ["check", "--brief"]])
def test_a_check_reckons_anew_what_status_says_of_the_next_stop(lab: Daemon, tmp_path: Path, words: list[str]) -> None:
    config = write_config(tmp_path, lab.test)
    with driver_guests(lab, ["db", "web"]):
        run_lastcall(config, *words)
        assert line(config, "next stop").startswith("2 guests: usually not known yet, at worst ")
        assert line(config, "next stop").endswith("planned just now")


def test_a_restore_at_boot_and_a_drill_reckon_it_anew_and_neither_a_host_stop_nor_a_run_by_hand_does(
    lab: Daemon, tmp_path: Path
) -> None:
    config = write_config(tmp_path, lab.test)
    with driver_guests(lab, ["db", "web"]):
        run_lastcall(config, "restore", "--from-unit")  # the host has booted
        run_lastcall(config, "shutdown", "--reason", "poweroff")
        assert reckoned(tmp_path)["forecast"]["guests"] == 2, "it says what was at boot"
        next_boot(tmp_path / "state", "a")
        run_lastcall(config, "restore", "--from-unit")
        assert reckoned(tmp_path)["forecast"]["unknown"] == 0, "by what the host stop has taught"
        assert reckoned(tmp_path)["reason"] == "poweroff"
        before = reckoned(tmp_path)
        run_lastcall(config, "shutdown", "web", "--yes")
        assert reckoned(tmp_path) == before
        run_lastcall(config, "drill", "db")
        assert reckoned(tmp_path)["forecast"]["guests"] == 1


def test_where_not_every_libvirt_answers_what_was_reckoned_before_stays(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test)
    with driver_guests(lab, ["db", "web"]):
        run_lastcall(config, "plan")
        before = reckoned(tmp_path)
        write_config(tmp_path, lab.test, "test+unix:///default?socket=/nowhere")
        for words in (["plan"], ["check"]):
            run_lastcall(config, *words)
            assert reckoned(tmp_path) == before, words


def test_a_configuration_that_is_changed_during_a_run_is_not_taken_for_the_one_that_was_reckoned_with(
    lab: Daemon, tmp_path: Path
) -> None:
    config = write_config(tmp_path, lab.test)
    hooks = tmp_path / "hooks.d" / "pre_restore"
    hooks.mkdir()
    (hooks / "change").write_text(f"#!/bin/sh\nsleep 0.1; touch {config}\n")
    (hooks / "change").chmod(0o755)
    with driver_guests(lab, ["db", "web"]):
        run_lastcall(config, "restore", "--from-unit")
        assert "since then the configuration was changed" in line(config, "next stop")
