"""The configuration in whole commands: what checks say of it, what a run does with it, and which one it lives by."""

import json
import os
from pathlib import Path
from typing import Any

import libvirt
import pytest

from lab.daemon import Daemon
from lab.guests import driver_guests, states
from lastcall.config.metadata import NAMESPACE, PREFIX
from support import at_default_paths, default_paths, report_of, run_lastcall, write_config

WORLD = "test:///default"
TEST_UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"  # of the guest that the test driver always has
NO_DURATION = "'soon' is not a duration; write a duration such as 90s, 4min or 1h30m, or plain seconds"
MISSPELT = """\
defaults: {stop: [acpii], timeout: soon}
guests:
  - match: web
    shell: agnt
    depends: db
hooks: {first: [redy]}
"""


def kept(folder: Path) -> list[str]:
    """The texts of the last good configuration, as `at_default_paths` has it."""
    path = folder / "lib" / "lastcall" / "last-good.json"
    return list(json.loads(path.read_text())["files"].values()) if path.exists() else []


def test_config_check_names_what_nothing_provides_together_with_all_other_errors(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD, more=MISSPELT)
    done = run_lastcall(config, "config", "check")
    assert (done.returncode, done.stdout) == (6, "")
    assert [line for line in done.stderr.splitlines() if line.startswith(str(config))] == [
        f"{config}:3:19: defaults.stop[0]: no plugin provides the stop method 'acpii'; did you mean 'acpi'?",
        f"{config}:3:36: defaults.timeout: {NO_DURATION}",
        f"{config}:6:12: guests[0].shell: no plugin provides the guest shell 'agnt'; did you mean 'agent'?",
        f"{config}:7:5: guests[0].depends: unknown key; did you mean 'depends_on'?",
        f"{config}:8:17: hooks.first[0]: no plugin is called 'redy'; did you mean 'ready'?",
    ]
    assert "the configuration has 5 errors" in done.stderr


def test_config_check_calls_no_name_wrong_where_a_plugin_could_not_be_loaded(tmp_path: Path) -> None:
    config = write_config(tmp_path, WORLD, more="defaults: {stop: [push, acpi]}")
    (tmp_path / "hooks.d" / "10-pusher.py").write_text("import nothing_like_it\n")
    done = run_lastcall(config, "config", "check")
    assert (done.returncode, done.stdout) == (0, f"valid: {config}\n")
    assert "No module named 'nothing_like_it'" in done.stderr
    assert f"{config}:3:19: defaults.stop[0]: nobody knows whether a plugin provides" in done.stderr


def test_check_warns_of_a_command_that_is_given_by_name_and_not_of_one_by_uuid(tmp_path: Path) -> None:
    for match, warned in (("test", True), (f"{{uuid: {TEST_UUID}}}", False)):
        config = write_config(tmp_path, WORLD, more=f"guests: [{{match: {match}, ready: {{command: 'true'}}}}]")
        done = run_lastcall(config, "check")
        assert done.returncode == 0, "a warning"
        told = "guests[0].match: whoever bears the name 'test' gets a command (ready.command)"
        assert (told in done.stdout) == warned


def test_the_report_of_a_host_stop_names_a_configuration_that_others_could_have_written(tmp_path: Path) -> None:
    file = default_paths(tmp_path)
    file.write_text(f"connections: ['{WORLD}']\n")
    assert at_default_paths(tmp_path, "plan").returncode == 0
    file.write_text("connections: ['nonsense:///x']\n")
    file.chmod(0o666)
    assert at_default_paths(tmp_path, "shutdown").returncode == 6
    done = at_default_paths(tmp_path, "shutdown", "--reason", "power", "--json")
    report: Any = report_of(done)
    assert (done.returncode, report["run"]["config"]) == (1, "last_good")
    problem = report["problems"][0]
    assert (problem["severity"], problem["remedy"]) == ("error", "chmod go-w /etc/lastcall/config.yaml")
    assert "is writable by group or others" in problem["message"]
    assert [guest["outcome"] for guest in report["guests"]] == ["stopped"]


def test_a_name_that_nothing_provides_costs_that_guest_that_rung_and_nobody_else_anything(
    lab: Daemon, tmp_path: Path
) -> None:
    rules = "guests: [{match: a, stop: [acpii, acpi]}, {match: b, stop: [nothing], last_resort: [destory]}]"
    config = write_config(tmp_path, lab.test, more=rules)
    with driver_guests(lab, ["a", "b", "c"]) as connection:
        xml, element = "<guest><stop>[acpiii, acpi]</stop></guest>", libvirt.VIR_DOMAIN_METADATA_ELEMENT
        everywhere = libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG
        connection.lookupByName("c").setMetadata(element, xml, PREFIX, NAMESPACE, everywhere)
        checked = run_lastcall(config, "check", "--json")
        found = {problem["where"] for problem in json.loads(checked.stdout)["problems"] if problem["what"] == "ladder"}
        assert (checked.returncode, found) == (1, {f"{config}:3:28", f"{config}:3:61", f"{config}:3:85", "c"})
        for reason in ("manual", "power"):
            done = run_lastcall(config, "shutdown", "--json", "--reason", reason)
            report = report_of(done)
            assert done.returncode == 1
            assert {guest["name"]: (guest["outcome"], guest["method"]) for guest in report["guests"]} == {
                "a": ("stopped", "acpi"), "b": ("stopped", "shutdown"), "c": ("stopped", "acpi"),
            }  # fmt: skip
            told = [problem["message"] for problem in report["problems"] if problem["what"] == "ladder"]
            assert len(told) == 4
            assert "no plugin provides the stop method 'acpii'; did you mean 'acpi'?; the step is skipped" in told
            run_lastcall(config, "restore")


def test_a_rule_that_matches_no_guest_is_a_warning_of_check_unless_guests_are_not_known(
    lab: Daemon, tmp_path: Path
) -> None:
    rules = "guests: [{match: web-01, restore: false}, {match: web1, restore: false}, {match: off, restore: false}]"
    config = write_config(tmp_path, lab.test, more=rules)
    with driver_guests(lab, ["web-01", "off"]) as connection:
        connection.lookupByName("off").destroy()
        done = run_lastcall(config, "check")
        assert done.returncode == 0, "a warning"
        warned = [line for line in done.stdout.splitlines() if "guests[" in line]
        assert len(warned) == 1
        assert f"{config}:3:44: guests[1].match: no guest, running or defined, is called 'web1'" in warned[0]
        assert "did you mean 'web-01'?" in warned[0]
        for missing in ('"nonsense:///x"', '{uri: "nonsense:///x", optional: true}'):
            config = write_config(tmp_path, lab.test, more=rules)
            config.write_text(config.read_text().replace("connections: [", f"connections: [{missing}, "))
            assert "guests[1]" not in run_lastcall(config, "check").stdout


@pytest.mark.parametrize(("by", "text"), [("option", "shutdown: {deadlin: 5}"), ("environment", None)])
def test_a_named_file_that_is_broken_stops_nobody(lab: Daemon, tmp_path: Path, by: str, text: str | None) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "systemctl").write_text("#!/bin/sh\necho 1 poweroff.target start waiting\n")
    (tmp_path / "bin" / "systemctl").chmod(0o755)
    good = f"connections: [{json.dumps(lab.test)}]\n"
    default_paths(tmp_path).write_text(good)
    named = tmp_path / "lab.yaml"
    if text is not None:
        named.write_text(f"{good}{text}")
    environment = ["env", f"PATH={tmp_path}/bin:{os.environ['PATH']}"]
    option = ["--config", str(named)] if by == "option" else []
    environment += [f"LASTCALL_CONFIG={named}"] if by == "environment" else []
    with driver_guests(lab, ["a", "b"]) as connection:
        assert at_default_paths(tmp_path, "check").returncode in {0, 1}
        assert kept(tmp_path) == [good]
        for words in (["--reason", "poweroff", "--json"], ["--from-unit"]):
            done = at_default_paths(tmp_path, *option, "shutdown", *words, user=environment)
            assert (done.returncode, done.stdout) == (6, ""), done.stderr
            assert done.stderr.startswith(str(named))
            assert done.stderr.endswith("nothing was done\n")
        assert set(states(connection).values()) == {"running"}
        assert not (tmp_path / "lib" / "lastcall" / "state.json").exists()


def test_last_good_is_a_configuration_that_led_to_a_connection(lab: Daemon, tmp_path: Path) -> None:
    file = default_paths(tmp_path)
    good, typo = f"connections: [{json.dumps(lab.test)}]\n", 'connections: ["qemuu:///system"]\n'
    with driver_guests(lab, ["a"]) as connection:
        file.write_text(good)
        assert at_default_paths(tmp_path, "config", "check").returncode == 0
        assert at_default_paths(tmp_path, "status").returncode == 3
        assert kept(tmp_path) == [], "that it is valid says nothing"
        assert at_default_paths(tmp_path, "plan").returncode == 0
        assert kept(tmp_path) == [good]
        file.write_text(typo)
        for words in (["config", "check"], ["plan"], ["check"], ["shutdown"]):
            at_default_paths(tmp_path, *words)
            assert kept(tmp_path) == [good], words
        file.write_text(f"{typo}nonsense")
        report: Any = report_of(at_default_paths(tmp_path, "shutdown", "--reason", "power", "--json"))
        assert report["run"]["config"] == "last_good"
        assert set(states(connection).values()) == {"off"}
        more = f"connections: [{json.dumps(lab.test)}, 'qemuu:///system']\n"
        file.write_text(more)
        at_default_paths(tmp_path, "restore")
        assert kept(tmp_path) == [more], "one of them is enough"


def test_what_happened_is_told_whatever_the_configuration_is_now(tmp_path: Path) -> None:
    file = default_paths(tmp_path)
    file.write_text(f"connections: ['{WORLD}']\n")
    assert at_default_paths(tmp_path, "shutdown").returncode == 0
    (log,) = (tmp_path / "lib" / "lastcall" / "runs").glob("*.jsonl")
    log.write_text(log.read_text()[:-30])
    file.write_text("nonsense: true\n")
    told = at_default_paths(tmp_path, "report")
    assert (told.returncode, told.stdout.splitlines()[-1]) == (
        1, "! it did not come to its end: it was killed",
    )  # fmt: skip
    assert "nonsense: unknown key" in told.stderr


def test_what_a_host_stop_finds_in_the_file_of_the_default_path_never_keeps_it_from_the_guests(
    lab: Daemon, tmp_path: Path
) -> None:
    file = default_paths(tmp_path)
    good = f"connections: [{json.dumps(lab.test)}]\n"
    for text in (b"'a[b]': 1", b"defaults: {order: " + b"9" * 6000 + b"}"):
        file.write_text(good)
        with driver_guests(lab, ["a"]) as connection:
            assert at_default_paths(tmp_path, "plan").returncode == 0
            file.write_bytes(text)
            done = at_default_paths(tmp_path, "shutdown", "--reason", "poweroff", "--json")
            report: Any = report_of(done)
            assert (done.returncode, report["run"]["config"]) == (1, "last_good")
            assert report["problems"][0]["where"].startswith("/etc/lastcall/config.yaml:1:")
            assert set(states(connection).values()) == {"off"}
            by_hand = at_default_paths(tmp_path, "shutdown")
            assert (by_hand.returncode, "Traceback" in by_hand.stderr) == (6, False)
