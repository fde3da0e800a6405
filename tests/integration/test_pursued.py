"""Looking and connecting are pursued: a guest that hangs, a daemon that is away, a connection that dies too early."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.daemon import Daemon, daemon
from lab.guests import driver_guests, firmware_guests, states
from lab.patience import LONGEST, wait_until
from lastcall.errors import HypervisorError
from lastcall.hypervisor.call_limits.call_budget import CallBudget
from lastcall.hypervisor.connection import Connection
from lastcall.hypervisor.ports import ConnectionClosed, HypervisorEvent
from support import by_name_in, report_of, run_lastcall, start_and_wait_for, write_config

SAVES = "defaults: {stop: [save]}\n"
METADATA = "<guest xmlns='https://lastcall.dev/xmlns/guest/1'><manage>false</manage></guest>"
HALF = "shutdown: {deadline: 60s, reserve: 15s, grace: 10s}\n"


@contextmanager
def occupied(lab: Daemon, *names: str) -> Generator[None]:
    """QEMUs that hang, each in somebody's monitor call."""
    processes = [process for process in map(lab.qemu_of, names) if process]
    assert len(processes) == len(names)
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    words = ("qemu-monitor-command", "--hmp")
    calls = [
        subprocess.Popen(["virsh", "-c", lab.qemu, *words, name, "info status"], stdout=-3, stderr=-3) for name in names
    ]
    try:
        for name in names:
            wait_until(lambda name=name: "occupied" in lab.virsh("domcontrol", name), f"{name} is occupied")
        yield
    finally:
        for call in calls:
            call.kill()
            call.wait()
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


@pytest.mark.real_guests
def test_a_qemu_that_hangs_in_somebodys_monitor_call_costs_nobody_its_metadata(tmp_path: Path) -> None:
    with daemon() as own, firmware_guests(own, "a-stuck", "stuck-theirs", "theirs", "plain") as connection:
        for name in ("theirs", "stuck-theirs"):
            connection.lookupByName(name).setMetadata(2, METADATA, "lastcall", "https://lastcall.dev/xmlns/guest/1", 3)
        config = write_config(tmp_path, own.qemu, more=f"{SAVES}{HALF}")
        with occupied(own, "a-stuck", "stuck-theirs"):
            done = run_lastcall(config, "shutdown", "--reason", "power", "--json")
            report = report_of(done)
        outcomes = {guest["name"]: guest["outcome"] for guest in report["guests"]}
        assert outcomes["theirs"] == outcomes["stuck-theirs"] == "skipped"
        assert outcomes["plain"] == "saved"
        assert states(connection)["theirs"] == "running"
        assert not [problem for problem in report["problems"] if "looked at" in problem["message"]]


@pytest.mark.real_guests
def test_a_guest_that_was_restored_with_its_pause_is_saved_again(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu)
    with firmware_guests(lab, "web") as connection:
        web = connection.lookupByName("web")
        web.suspend()
        for _ in range(2):
            done = run_lastcall(config, "shutdown", "--reason", "power", "--json")
            assert by_name_in(report_of(done), "web")["outcome"] == "saved", done.stderr
            done = run_lastcall(config, "restore", "--json")
            assert by_name_in(report_of(done), "web")["outcome"] == "resumed", done.stderr
            assert states(connection) == {"web": "paused"}


@pytest.mark.real_guests
def test_a_daemon_that_is_away_at_the_start_of_a_host_stop_costs_no_guest_its_last_call(tmp_path: Path) -> None:
    with daemon() as own, firmware_guests(own, "one", "two"):
        config = write_config(tmp_path, own.qemu, more=f"{SAVES}{HALF}")
        own.kill()
        process = start_and_wait_for(config, "Failed to connect", "shutdown", "--reason", "power", "--json")
        time.sleep(3)  # long enough for a run that does not try on to be over
        own.revive()
        output, _ = process.communicate(timeout=LONGEST)
        report = report_of(subprocess.CompletedProcess([], process.returncode, output, ""))
        assert {guest["name"]: guest["outcome"] for guest in report["guests"]} == {"one": "saved", "two": "saved"}
        assert process.returncode == 0, report["problems"]


@pytest.mark.real_guests
def test_in_a_host_stop_a_daemon_that_dies_is_waited_for_beyond_reconnect(tmp_path: Path) -> None:
    with daemon() as own, firmware_guests(own, "one"):
        config = write_config(tmp_path, own.qemu, more=f"{SAVES}shutdown: {{deadline: 2min, reserve: 20s}}\n")
        config.write_text(config.read_text().replace(f'"{own.qemu}"', f'{{uri: "{own.qemu}", reconnect: 1s}}'))
        (tmp_path / "hooks.d" / "pre_shutdown").mkdir()
        kills = tmp_path / "hooks.d" / "pre_shutdown" / "10-kills"
        kills.write_text(f"#!/bin/sh\ntouch {own.folder}/hold\nkill -KILL {own.pid()}\n")
        kills.chmod(0o755)
        process = start_and_wait_for(config, "died", "shutdown", "--reason", "power", "--json")
        time.sleep(4)
        own.revive()
        output, _ = process.communicate(timeout=LONGEST)
        report = report_of(subprocess.CompletedProcess([], process.returncode, output, ""))
        assert by_name_in(report, "one")["outcome"] == "saved", report


class Cutting:
    """A door to a daemon that passes on so many messages of the client, and then closes."""

    def __init__(self, lab: Daemon, path: Path, messages: int) -> None:
        self.uri = f"test+unix:///default?socket={path}"
        self.cut = False
        self._target, self._left = str(lab.socket), messages
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(path))
        self._door.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        client, _ = self._door.accept()
        server = socket.socket(socket.AF_UNIX)
        server.connect(self._target)
        threading.Thread(target=self._answer, args=(server, client), daemon=True).start()
        while head := client.recv(4, socket.MSG_WAITALL):
            if not self._left:
                break
            self._left -= 1
            length = int.from_bytes(head, "big") - 4
            server.sendall(head + client.recv(length, socket.MSG_WAITALL))
        self.cut = True
        for one in (client, server, self._door):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)


def test_a_connection_that_dies_at_any_moment_of_its_opening_is_noticed(lab: Daemon, tmp_path: Path) -> None:
    with driver_guests(lab, ["g"]):
        for messages in range(1, 60):
            door, events = Cutting(lab, tmp_path / f"door-{messages}", messages), list[HypervisorEvent]()
            try:
                connection = Connection(door.uri, events.append, CallBudget())
            except HypervisorError:
                continue
            if not door.cut:
                break
            wait_until(
                lambda events=events: any(isinstance(event, ConnectionClosed) for event in events),
                f"the end after {messages} messages is noticed",
                pause=0.01,
            )
            del connection
        else:
            pytest.fail("it was never opened")
        assert messages > 5, "the moments between its first message and its last"


def test_settings_that_a_plugin_cannot_tell_are_a_problem_of_plan_and_check(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test, more="hooks: {plugins: {cmdb: {on_failure: skip_guest}}}")
    drop_in = (
        "import lastcall\n\n@lastcall.hookimpl\ndef guest_settings(guest, run):\n    raise OSError('no inventory')\n"
    )
    (tmp_path / "hooks.d" / "10-cmdb.py").write_text(drop_in)
    with driver_guests(lab, ["web"]):
        for command in ("plan", "check"):
            done = run_lastcall(config, command)
            assert "guest_settings of cmdb" in done.stdout, done
            assert "no inventory" in done.stdout
            assert done.returncode == 1
        (guest,) = json.loads(run_lastcall(config, "plan", "--manual", "--json").stdout)["guests"]
        assert "guest_settings of cmdb" in guest["left_because"]
        (guest,) = json.loads(run_lastcall(config, "plan", "--reason", "power", "--json").stdout)["guests"]
        assert guest["left_because"] is None
