"""Settings in the domain's own XML: written by virsh or lastcall, shown with their source, and used."""

import json
from pathlib import Path

import pytest

from lab.daemon import Daemon
from lab.guests import driver_guests, firmware_guests
from lastcall.config.metadata import NAMESPACE
from support import report_of, run_lastcall, write_config


@pytest.mark.real_guests
def test_what_virsh_writes_is_read_and_what_lastcall_writes_virsh_shows(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu, more="guests: [{match: web, timeout: 3min}]")
    with firmware_guests(lab, "web", "db") as connection:
        xml = "<guest><depends_on>[db]</depends_on><timeout>5min</timeout></guest>"
        lab.virsh("metadata", "web", NAMESPACE, "--key", "lastcall", "--set", xml, "--live", "--config")
        shown = json.loads(run_lastcall(config, "config", "guest", "web", "--json").stdout)["settings"]
        assert shown["depends_on"] == {"value": ["db"], "from": "metadata"}
        assert shown["timeout"] == {"value": 180.0, "from": 'guests[0], match "web"'}
        assert shown["paused"] == {"value": "save", "from": "built-in"}

        done = run_lastcall(config, "guest", "set", "db", "stop=[{acpi: {timeout: 2s}}, save]", "order=1")
        assert done.returncode == 0, done.stderr
        assert "order: 1" in done.stdout
        written = lab.virsh("metadata", "db", NAMESPACE)
        assert "<order>1</order>" in written
        run_lastcall(config, "guest", "set", "db", "timeout=7s")
        assert "timeout: 7.0  (metadata)" in run_lastcall(config, "config", "guest", "db").stdout
        assert "order: 1  (metadata)" in run_lastcall(config, "config", "guest", "db").stdout

        domain = connection.lookupByName("db")
        domain.destroy()
        assert "order: 1  (metadata)" in run_lastcall(config, "config", "guest", "db").stdout, "it survives the guest"
        run_lastcall(config, "guest", "unset", "db", "order", "stop", "timeout")
        assert "order: null  (built-in)" in run_lastcall(config, "config", "guest", "db").stdout


def test_what_cannot_be_meant_is_refused_before_it_is_written(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test)
    with driver_guests(lab, ["web"]):
        for setting, said in (
            ("timeout=soon", "timeout: 'soon' is not a duration"),
            ("colour=red", "colour: unknown key"),
            ("ready={command: reboot}", "ready.command: cannot be set by metadata"),
            ("hooks={timeout: 1s}", "hooks: cannot be set by metadata"),
            ("timeout", "is not KEY=VALUE"),
            ("stop=[", "not valid YAML"),
            ("stop=[acpii]", "no plugin provides the stop method 'acpii'; did you mean 'acpi'?"),
        ):
            done = run_lastcall(config, "guest", "set", "web", setting)
            assert (done.returncode, said in done.stderr) == (2, True), done.stderr
        done = run_lastcall(config, "guest", "set", "wbe", "order=1")
        assert (done.returncode, "did you mean 'web'?" in done.stderr) == (2, True)
        assert "(metadata)" not in run_lastcall(config, "config", "guest", "web").stdout, "nothing was written"


def test_metadata_of_the_test_driver_orders_a_run(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test)
    with driver_guests(lab, ["app", "db"]):
        assert run_lastcall(config, "guest", "set", "app", "depends_on=db").returncode == 0
        report = report_of(run_lastcall(config, "shutdown", "--json"))
        assert {guest["name"]: guest["waited_for"] for guest in report["guests"]} == {"app": [], "db": ["app"]}


def test_cycles_and_names_that_match_nothing_are_errors_of_check_and_plan_and_stop_no_run(
    lab: Daemon, tmp_path: Path
) -> None:
    rules = "guests: [{match: a, depends_on: [b]}, {match: b, depends_on: [a]}, {match: c, depends_on: [dd]}]"
    config = write_config(tmp_path, lab.test, more=rules)
    with driver_guests(lab, ["a", "b", "c", "d"]):
        for command in ("check", "plan"):
            done = run_lastcall(config, command)
            assert done.returncode == 1
            assert "each of these needs the next, in a circle: " in done.stdout
            assert "a → b → a" in done.stdout or "b → a → b" in done.stdout
            assert "no guest is called 'dd'; did you mean 'd'?" in done.stdout
        report = report_of(run_lastcall(config, "shutdown", "--json"))
        assert {guest["outcome"] for guest in report["guests"]} == {"stopped"}
        assert [problem["what"] for problem in report["problems"]] == ["order", "order"]


def test_plan_shows_when_each_guest_is_asked_and_warns_where_the_worst_case_does_not_fit(
    lab: Daemon, tmp_path: Path
) -> None:
    rules = "defaults: {timeout: 4min}\nguests: [{match: web, depends_on: [app]}, {match: app, depends_on: [db]}]"
    config = write_config(tmp_path, lab.test, more=rules)
    with driver_guests(lab, ["app", "db", "web"]):
        done = run_lastcall(config, "plan", "--reason", "power")
        lines = [line.split() for line in done.stdout.splitlines()]
        rows = [line[:4] for line in lines if "running" in line]
        assert rows == [
            ["0s", "0s", "web", "running"], ["≥", "0s", "4min", "app"], ["≥", "0s", "8min", "db"]
        ]  # fmt: skip
        assert "everybody is asked by 9min, last resort from 9min30s, over by 10min" in done.stdout
        assert "longest chain at worst 9min30s: db" in done.stdout, "nobody waits for it: to the last resort"
        assert done.returncode == 0
        tight = run_lastcall(config, "plan", "--reason", "power", "--deadline", "5min")
        assert "! deadline shutdown.deadline: the worst case (web → app" in tight.stdout
        facts = json.loads(run_lastcall(config, "plan", "--json", "--deadline", "5min").stdout)
        assert facts["run"]["fits"] is False
        assert {guest["name"]: (guest["waits_for"], guest["takes_at_worst"]) for guest in facts["guests"]} == {
            "app": (["web"], 240.0), "db": (["app"], None), "web": ([], 240.0)
        }  # fmt: skip
        assert facts["run"]["worst"]["path"][:2] == ["web", "app"]
        config.write_text(config.read_text() + "\nshutdown: {deadline: 5min, by_reason: {power: {deadline: 10min}}}\n")
        told = json.loads(run_lastcall(config, "check", "--json").stdout)["problems"]
        (problem,) = [one for one in told if one["where"] == "shutdown.deadline"]
        assert problem["message"].startswith("the worst case (web → app"), "of the stop without a power failure"
        assert problem["severity"] == "warning"
