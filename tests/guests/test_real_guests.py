"""Real QEMU guests under TCG: they take their time, are deaf, are saved, and come back."""

import json
import subprocess
import time
from pathlib import Path

import pytest

from lab.daemon import Daemon
from lab.guests import firmware_guests, linux_guests, opened, states
from lab.patience import LONGEST, wait_until
from support import PROGRAM, over_in_time, report_of, run_lastcall, waiting_guests, write_config


def test_six_guests_of_two_to_seven_seconds_take_as_long_as_the_slowest(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu)
    switches = {f"slow-{number}": f"slow={number}" for number in range(2, 8)}
    with linux_guests(lab, **switches) as guests:
        done = run_lastcall(config, "shutdown", "--json")
        report = report_of(done)
        assert done.returncode == 0, done.stderr
        by_name = {guest["name"]: guest for guest in report["guests"]}
        assert {guest["outcome"] for guest in report["guests"]} == {"stopped"}
        assert {guest["method"] for guest in report["guests"]} == {"agent"}
        assert {guest["ended"] for guest in report["guests"]} == {"shutdown"}
        for number in range(2, 8):
            assert by_name[f"slow-{number}"]["duration"] >= number
        first_asked = min(guest["asked"] for guest in report["guests"])
        last_off = max(guest["started"] + guest["duration"] for guest in report["guests"])
        assert last_off - first_asked <= 1.25 * max(guest["duration"] for guest in report["guests"])
        assert all(guest.went_down_cleanly for guest in guests.values())

        done = run_lastcall(config, "restore", "--json")
        assert [guest["outcome"] for guest in report_of(done)["guests"]] == ["started"] * 6
        with opened(lab.qemu) as connection:
            assert {states(connection)[name] for name in switches} == {"running"}


def test_a_guest_deaf_to_acpi_meets_the_next_rung_at_its_timeout_and_delays_nobody(lab: Daemon, tmp_path: Path) -> None:
    ladder = "defaults: {stop: [{acpi: {timeout: 10s}}, {destroy: {timeout: 30s}}]}"
    config = write_config(tmp_path, lab.qemu, more=ladder)
    with linux_guests(lab, deaf="deaf=1", quick="slow=1") as guests:
        done = run_lastcall(config, "shutdown", "--json")
        found = {guest["name"]: guest for guest in report_of(done)["guests"]}
        first, second = found["deaf"]["attempts"]
        assert (first["method"], first["result"]) == ("acpi", "timeout"), first
        assert 10.0 <= first["duration"] < 15.0
        assert (second["method"], second["result"]) == ("destroy", "forced")
        assert found["quick"]["outcome"] == "stopped"
        assert found["quick"]["asked"] < second["started"], "asked while the other still had its time"
        assert guests["quick"].went_down_cleanly
        assert not guests["deaf"].went_down_cleanly
        assert done.returncode == 1


def test_a_connected_agent_does_not_make_the_run_serial(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu)
    with linux_guests(lab, **{f"agent-{number}": "slow=3" for number in range(3)}):
        with opened(lab.qemu) as connection:
            assert "state='connected'" in connection.lookupByName("agent-0").XMLDesc(0)
        done = run_lastcall(config, "shutdown", "--json")
        guests = report_of(done)["guests"]
        assert [guest["outcome"] for guest in guests] == ["stopped"] * 3
        assert report_of(done)["run"]["duration"] < 2 * max(guest["duration"] for guest in guests)


def test_saved_guests_are_resumed_and_a_paused_one_is_paused_again(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu, more="defaults: {stop: [save]}")
    with firmware_guests(lab, "running", "paused", "off") as connection:
        connection.lookupByName("paused").suspend()
        connection.lookupByName("off").destroy()
        before = states(connection)
        done = run_lastcall(config, "shutdown", "--json")
        assert {guest["name"]: guest["outcome"] for guest in report_of(done)["guests"]} == {
            "paused": "saved",
            "running": "saved",
        }
        assert set(states(connection).values()) == {"off"}
        done = run_lastcall(config, "restore", "--json")
        assert {guest["outcome"] for guest in report_of(done)["guests"]} == {"resumed"}
        assert states(connection) == before
        again = run_lastcall(config, "restore", "--json")
        assert (report_of(again)["guests"], again.returncode, states(connection)) == ([], 0, before)


def test_destroy_is_graceful_first_and_works_on_a_guest_that_hears_nothing(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu, more="defaults: {stop: [destroy]}")
    with firmware_guests(lab, "plug"):
        done = run_lastcall(config, "shutdown", "--json")
        (guest,) = report_of(done)["guests"]
        assert (guest["outcome"], guest["ended"], done.returncode) == ("forced", "destroyed", 0)


def test_a_voluntary_run_leaves_a_deaf_guest_and_force_does_not(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu, more="defaults: {stop: [{acpi: {timeout: 2s}}]}")
    with firmware_guests(lab, "deaf") as connection:
        done = run_lastcall(config, "shutdown", "--json")
        assert (report_of(done)["guests"][0]["outcome"], done.returncode) == ("left", 1)
        assert waiting_guests(tmp_path / "state") == ["deaf"], "it was asked, and may go off later"
        assert states(connection)["deaf"] == "running"
        done = run_lastcall(config, "shutdown", "--force", "--json")
        assert report_of(done)["guests"][0]["outcome"] == "forced"
        assert waiting_guests(tmp_path / "state") == ["deaf"]


def test_a_host_stop_is_over_by_its_deadline_whatever_hangs(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu, more="hooks: {timeout: 5min}")
    (tmp_path / "hooks.d" / "10-hangs.py").write_text(
        "import time, lastcall\n"
        "@lastcall.hookimpl\n"
        "def on_guest_stop(guest, run):\n"
        "    if guest.name == 'hung-hook': time.sleep(600)\n"
    )
    with firmware_guests(lab, "deaf", "hung-hook") as connection:
        done = run_lastcall(config, "shutdown", "--reason", "power", "--deadline", "30s", "--json")
        report = report_of(done)
        assert over_in_time(report)
        assert set(states(connection).values()) == {"off"}
        assert {guest["outcome"] for guest in report["guests"]} == {"forced"}
        assert all(guest["asked"] is not None for guest in report["guests"]), "nobody is destroyed unasked"


def test_a_daemon_that_dies_in_mid_run_is_never_reported_as_a_stopped_guest(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu)
    uri = json.dumps(lab.qemu)
    config.write_text(config.read_text().replace(uri, f"{{uri: {uri}, reconnect: 3s}}"))
    marker = tmp_path / "asked"
    (tmp_path / "hooks.d" / "10-mark.py").write_text(
        f"import lastcall\n@lastcall.hookimpl\ndef on_guest_stop(guest, run):\n    open({str(marker)!r}, 'w')\n"
    )
    with firmware_guests(lab, "survivor"):
        process = subprocess.Popen(
            [str(PROGRAM), "--config", str(config), "shutdown", "--json"], stdout=subprocess.PIPE, text=True
        )
        wait_until(marker.exists, "the guest is about to be asked", process=process.pid)
        time.sleep(0.5)
        lab.kill()
        try:
            out, _ = process.communicate(timeout=LONGEST)
        finally:
            lab.revive()
        report = json.loads(out)
        assert [guest["outcome"] for guest in report["guests"]] == ["unknown"]
        assert process.returncode == 1
        assert waiting_guests(tmp_path / "state") == ["survivor"]
        with opened(lab.qemu) as connection:
            assert states(connection)["survivor"] == "running"


@pytest.mark.parametrize("reason", ["reboot"])
def test_the_reason_is_told_to_hooks_and_report(lab: Daemon, tmp_path: Path, reason: str) -> None:
    config = write_config(tmp_path, lab.qemu, more="defaults: {stop: [destroy]}")
    (tmp_path / "hooks.d" / "10-why.py").write_text(
        "import lastcall\n@lastcall.hookimpl\ndef pre_shutdown(run):\n    run.log(f'because of {run.reason}')\n"
    )
    with firmware_guests(lab, "any"):
        done = run_lastcall(config, "shutdown", "--reason", reason, "--json")
        assert f"because of {reason}" in done.stderr
        assert report_of(done)["run"]["reason"] == reason
