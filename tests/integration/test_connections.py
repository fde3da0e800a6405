"""Other kinds of connections, each with real guests: containers, a user's session, a daemon behind SSH."""

from pathlib import Path

import pytest

from lab.containers import containers
from lab.daemon import Daemon, daemon
from lab.guests import driver_guests, firmware_guests, opened, states
from lab.ssh import ssh_uri
from support import report_of, run_lastcall, write_config


@pytest.mark.real_guests
def test_containers_are_stopped_by_signals_and_come_back(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(
        tmp_path, lab.lxc, more="defaults: {timeout: 3s}\nguests: [{match: web, depends_on: systemd}]"
    )
    with containers(lab, systemd="38", web="TERM", stubborn="") as connection:
        done = run_lastcall(config, "shutdown", "--reason", "power", "--json")
        found = {guest["name"]: guest for guest in report_of(done)["guests"]}
        tried = {name: [one["method"] for one in guest["attempts"]] for name, guest in found.items()}
        assert tried == {
            "systemd": ["signal"], "web": ["signal", "signal"], "stubborn": ["signal", "signal", "destroy"]
        }  # fmt: skip
        outcomes = {name: guest["outcome"] for name, guest in found.items()}
        assert outcomes == {"systemd": "stopped", "web": "stopped", "stubborn": "forced"}
        assert found["web"]["started"] + found["web"]["duration"] <= found["systemd"]["started"] + 0.01
        assert set(states(connection).values()) == {"off"}
        done = run_lastcall(config, "restore", "--json")
        assert [guest["outcome"] for guest in report_of(done)["guests"]] == ["started"] * 3, done.stderr
        assert set(states(connection).values()) == {"running"}


@pytest.mark.real_guests
def test_a_users_own_guests_are_stopped_over_a_session_connection(tmp_path: Path) -> None:
    with daemon(session=True) as users, firmware_guests(users, "desktop") as connection:
        config = write_config(tmp_path, users.qemu, more="defaults: {stop: [save]}")
        done = run_lastcall(config, "shutdown", "--json")
        assert [guest["outcome"] for guest in report_of(done)["guests"]] == ["saved"], done.stderr
        assert states(connection) == {"desktop": "off"}
        run_lastcall(config, "restore")
        assert states(connection) == {"desktop": "running"}


def test_guests_behind_ssh_on_a_second_daemon_take_part_in_the_order(lab: Daemon, tmp_path: Path) -> None:
    with (
        daemon() as far,
        ssh_uri(far, tmp_path, "test", "default") as uri,
        driver_guests(lab, ["web"]),
        opened(far.test) as connection,
    ):
        config = write_config(tmp_path, lab.test, uri, more="guests: [{match: web, depends_on: test}]")
        done = run_lastcall(config, "shutdown", "--json")
        found = {guest["name"]: guest for guest in report_of(done)["guests"]}
        assert {name: guest["outcome"] for name, guest in found.items()} == {"web": "stopped", "test": "stopped"}
        assert found["test"]["waited_for"] == ["web"]
        assert found["test"]["uri"].startswith("test+ssh://")
        assert states(connection) == {"test": "off"}
        run_lastcall(config, "restore")
        assert states(connection) == {"test": "running"}


@pytest.mark.real_guests
def test_real_guests_behind_ssh_are_saved_and_resumed(tmp_path: Path) -> None:
    with daemon() as far, ssh_uri(far, tmp_path) as uri, firmware_guests(far, "remote") as connection:
        config = write_config(tmp_path, uri, more="defaults: {stop: [save]}")
        done = run_lastcall(config, "shutdown", "--json")
        assert [guest["outcome"] for guest in report_of(done)["guests"]] == ["saved"], done.stderr
        done = run_lastcall(config, "restore", "--json")
        assert [guest["outcome"] for guest in report_of(done)["guests"]] == ["resumed"]
        assert states(connection) == {"remote": "running"}


@pytest.mark.real_guests
def test_two_spellings_of_one_daemon_ask_each_guest_once_and_are_named(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu, f"{lab.qemu}&mode=legacy", more="defaults: {stop: [destroy]}")
    with firmware_guests(lab, "once"):
        done = run_lastcall(config, "shutdown", "--json")
        report = report_of(done)
        assert [guest["name"] for guest in report["guests"]] == ["once"]
        assert [problem["severity"] for problem in report["problems"]] == ["warning"]
        assert "lists once as" in report["problems"][0]["message"]
        assert done.returncode == 0
