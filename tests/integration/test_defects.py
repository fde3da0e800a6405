"""The twelve known defects of libvirt-guests, none of which lastcall has; the first words of each name are its number.

Those of the deaths of libvirtd and of agents on real guests are also in tests/guests.
"""

import json
import os
import signal
from pathlib import Path

import pytest

from lab.daemon import Daemon, daemon
from lab.guests import driver_guests, firmware_guests, linux_guests, opened, states
from support import order_asked, over_in_time, report_of, run_lastcall, waiting_guests, write_config


@pytest.mark.real_guests
def test_defect_1_a_daemon_that_dies_makes_no_running_guest_complete(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu)
    uri = json.dumps(lab.qemu)
    config.write_text(config.read_text().replace(uri, f"{{uri: {uri}, reconnect: 2s}}"))
    (tmp_path / "hooks.d" / "10-kill.py").write_text(
        "import os, signal, threading, lastcall\nfrom pathlib import Path\n"
        f"def kill():\n    Path({str(lab.folder / 'hold')!r}).touch()\n    os.kill({lab.pid()}, signal.SIGKILL)\n"
        "@lastcall.hookimpl\n"
        "def on_guest_stop(guest, run):\n    threading.Timer(0.5, kill).start()\n"
    )
    with firmware_guests(lab, "survivor"):
        try:
            done = run_lastcall(config, "shutdown", "--json")
        finally:
            lab.revive()
        assert [guest["outcome"] for guest in report_of(done)["guests"]] == ["unknown"]
        assert done.returncode == 1
        with opened(lab.qemu) as connection:
            assert states(connection)["survivor"] == "running"


def test_defect_2_a_frozen_daemon_neither_hangs_a_stop_nor_empties_the_list(lab: Daemon, tmp_path: Path) -> None:
    with daemon() as frozen, driver_guests(frozen, ["kept"]) as connection:
        config = write_config(tmp_path, frozen.test)
        run_lastcall(config, "shutdown")
        connection.lookupByName("kept").create()
        os.kill(frozen.pid(), signal.SIGSTOP)
        try:
            done = run_lastcall(config, "shutdown", "--reason", "power", "--deadline", "12s", "--json")
        finally:
            os.kill(frozen.pid(), signal.SIGCONT)
        assert over_in_time(report_of(done))
        assert done.returncode == 1
        assert waiting_guests(tmp_path / "state") == ["kept"]
        done = run_lastcall(config, "shutdown", "--reason", "power", "--json")
        assert [guest["outcome"] for guest in report_of(done)["guests"]] == ["stopped"], "no silent no-op afterwards"


@pytest.mark.real_guests
def test_defect_3_guests_that_still_wait_when_time_is_short_are_asked(lab: Daemon, tmp_path: Path) -> None:
    more = "shutdown: {parallel: 2}\ndefaults: {timeout: 60s}\nguests: [{match: slow, stop: [save]}]"
    config = write_config(tmp_path, lab.qemu, more=more)
    with firmware_guests(lab, "deaf-1", "deaf-2", "slow") as connection:
        done = run_lastcall(config, "shutdown", "--reason", "power", "--deadline", "30s", "--json")
        found = {guest["name"]: guest for guest in report_of(done)["guests"]}
        assert found["slow"]["outcome"] == "saved", "two hung guests starve nobody"
        assert all(guest["asked"] is not None for guest in found.values())
        assert set(states(connection).values()) == {"off"}


@pytest.mark.real_guests
def test_defect_4_connected_agents_do_not_make_a_run_serial(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu)
    with linux_guests(lab, **{f"agent-{number}": "slow=4" for number in range(3)}):
        done = run_lastcall(config, "shutdown", "--json")
        guests = report_of(done)["guests"]
        assert [guest["outcome"] for guest in guests] == ["stopped"] * 3
        first_is_off = min(guest["started"] + guest["duration"] for guest in guests)
        assert max(guest["asked"] for guest in guests) < first_is_off, "all are asked before anybody is off"


def test_defect_5_a_transient_guest_is_not_looked_for_at_boot(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test)
    with driver_guests(lab, ["lasting"]) as connection:
        connection.createXML(
            "<domain type='test'><name>fleeting</name><memory>1024</memory><os><type>hvm</type></os></domain>"
        )
        run_lastcall(config, "shutdown")
        assert waiting_guests(tmp_path / "state") == ["lasting"]
        assert run_lastcall(config, "restore").returncode == 0


def test_defect_6_an_unreachable_daemon_or_a_failed_start_at_boot_loses_no_guest(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more="restore: {attempts: 1}")
    with driver_guests(lab, ["a", "b"]) as connection:
        run_lastcall(config, "shutdown")
        lab_pid = lab.pid()
        os.kill(lab_pid, signal.SIGSTOP)
        try:
            done = run_lastcall(config, "restore", "--deadline", "8s")
        finally:
            os.kill(lab_pid, signal.SIGCONT)
        assert done.returncode == 1
        assert sorted(waiting_guests(tmp_path / "state")) == ["a", "b"]
        (tmp_path / "hooks.d" / "10-gone.py").write_text(
            "import lastcall\n@lastcall.hookimpl\n"
            "def on_guest_start(guest, run):\n    if guest.name == 'a': run.domain(guest).raw().undefine()\n"
        )
        done = run_lastcall(config, "restore", "--json")
        assert {guest["name"]: guest["outcome"] for guest in report_of(done)["guests"]} == {
            "a": "failed", "b": "started"
        }  # fmt: skip
        assert (done.returncode, waiting_guests(tmp_path / "state")) == (1, ["a"])
        assert states(connection)["b"] == "running"


def test_defect_7_a_guest_that_somebody_stopped_is_no_error_and_a_uri_given_twice_asks_once(
    lab: Daemon, tmp_path: Path
) -> None:
    config = write_config(tmp_path, lab.test, lab.test, more="shutdown: {parallel: 1}")
    (tmp_path / "hooks.d" / "10-other.py").write_text(
        "import lastcall\n@lastcall.hookimpl\n"
        "def pre_shutdown(run):\n    run.domain(next(g for g in run.guests if g.name == 'b')).destroy()\n"
    )
    with driver_guests(lab, ["a", "b"]):
        done = run_lastcall(config, "shutdown", "--json")
        report = report_of(done)
        assert [guest["name"] for guest in report["guests"]] == ["a", "b"]
        assert {guest["name"]: len(guest["attempts"]) for guest in report["guests"]} == {"a": 2, "b": 0}, "agent, acpi"
        assert report["problems"] == []


@pytest.mark.real_guests
@pytest.mark.parametrize("parallel", [1, 2])
def test_defect_8_a_timeout_is_exit_1_whether_serial_or_parallel(lab: Daemon, tmp_path: Path, parallel: int) -> None:
    more = f"shutdown: {{parallel: {parallel}}}\ndefaults: {{stop: [{{acpi: {{timeout: 1s}}}}]}}"
    config = write_config(tmp_path, lab.qemu, more=more)
    with firmware_guests(lab, "deaf-1", "deaf-2"):
        done = run_lastcall(config, "shutdown", "--json")
        assert done.returncode == 1
        assert [guest["outcome"] for guest in report_of(done)["guests"]] == ["left", "left"]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("defaults: {stop: [suspnd]}", "no plugin provides the stop method 'suspnd'"),
        ("shutdown: {deadline: soon}", "'soon' is not a duration"),
    ],
)
def test_defect_8_a_wrong_setting_is_named_and_never_means_something_else(
    lab: Daemon, tmp_path: Path, setting: str, said: str
) -> None:
    config = write_config(tmp_path, lab.test, more=setting)
    done = run_lastcall(config, "check")
    assert done.returncode in {1, 6}
    assert said in done.stdout + done.stderr


@pytest.mark.real_guests
def test_defect_9_there_is_a_total_deadline_and_guests_that_do_not_stop_are_forced(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu, more="shutdown: {parallel: 1}\ndefaults: {timeout: 300s}")
    with firmware_guests(lab, "deaf-1", "deaf-2", "deaf-3") as connection:
        done = run_lastcall(config, "shutdown", "--reason", "power", "--deadline", "15s", "--json")
        assert over_in_time(report_of(done)), "one after the other they would take 15 minutes"
        assert [guest["outcome"] for guest in report_of(done)["guests"]] == ["forced"] * 3
        assert set(states(connection).values()) == {"off"}


def test_defect_10_the_stop_order_is_the_start_order_reversed(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more="guests: [{match: a, order: 1}, {match: b, order: 2}]")
    with driver_guests(lab, ["a", "b", "c"]):
        stop = report_of(run_lastcall(config, "shutdown", "--json"))
        assert order_asked(tmp_path, stop) == ["c", "b", "a"]
        assert {guest["name"]: guest["waited_for"] for guest in stop["guests"]} == {
            "a": ["(order 1)"], "b": ["(order 2)"], "c": []
        }  # fmt: skip
        start = report_of(run_lastcall(config, "restore", "--json"))
        assert order_asked(tmp_path, start) == ["a", "b", "c"]


def test_defect_11_after_a_failed_save_the_guest_is_asked_otherwise(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more="defaults: {stop: [save, acpi]}")
    with driver_guests(lab, []) as connection:
        connection.createXML(
            "<domain type='test'><name>fleeting</name><memory>1024</memory><os><type>hvm</type></os></domain>"
        )
        done = run_lastcall(config, "shutdown", "--json")
        (guest,) = report_of(done)["guests"]
        assert [attempt["method"] for attempt in guest["attempts"]] == ["save", "acpi"]
        assert (guest["outcome"], done.returncode) == ("stopped", 0)


@pytest.mark.real_guests
def test_defect_12_a_paused_guest_is_saved_and_paused_again(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu)
    with firmware_guests(lab, "paused") as connection:
        connection.lookupByName("paused").suspend()
        done = run_lastcall(config, "shutdown", "--json")
        assert [guest["outcome"] for guest in report_of(done)["guests"]] == ["saved"]
        run_lastcall(config, "restore")
        assert states(connection) == {"paused": "paused"}
