"""`notify` with the program, a broker as Debian has it, and servers that hang: no run waits for anybody outside."""

import json
import platform
import re
import shutil
import statistics
import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from paho.mqtt import client as paho  # noqa: TID253  a second client, that looks

from lab.told import closed_port, deaf_server, web_hook
from lastcall import Reason
from lastcall.testing.pytest_plugin import MakeLab
from lastcall_plugins.notify.messages import Message
from lastcall_plugins.notify.mqtt import keep_state
from lastcall_plugins.notify.sending import start
from lastcall_plugins.notify.settings import NotifySettings
from support import report_of, run_lastcall, write_config

WORLD = "test:///default"
PASSWORD = "br0ker-word"  # noqa: S105  of a broker on loopback
NAME = re.sub(r"[^A-Za-z0-9_-]", "_", platform.node())


def seconds_of_a_host_stop(folder: Path, more: str = "") -> float:
    """How long the program takes for one, as its caller sees it."""
    folder.mkdir()
    config = write_config(folder, WORLD, more=more)
    began = time.monotonic()
    done = run_lastcall(config, "shutdown", "--reason", "poweroff", "--json", "--deadline", "1min")
    took = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    assert report_of(done)["run"]["exit_code"] == 0
    return took


def with_urls(folder: Path, *urls: str, more: str = "") -> str:
    """A section that tells these."""
    file = folder / "urls"
    file.write_text("\n".join(urls))
    file.chmod(0o600)
    return f"plugins: {{notify: {{urls: {file}{more}}}}}\n"


def test_a_host_stop_ends_as_fast_with_a_server_that_hangs_as_without_any(tmp_path: Path) -> None:
    with deaf_server() as deaf:
        told = with_urls(tmp_path, f"json://127.0.0.1:{deaf}/a", f"mailto://127.0.0.1:{deaf}?from=a@b.de&to=c@d.de")
        without = statistics.median(seconds_of_a_host_stop(tmp_path / f"without-{n}") for n in range(3))
        hung = statistics.median(seconds_of_a_host_stop(tmp_path / f"hung-{n}", told) for n in range(3))
    assert hung < 1.5 * without + 0.5


def test_what_the_program_keeps_and_shows_has_no_address(tmp_path: Path) -> None:
    with web_hook() as hook:
        hook.status = 500
        config = write_config(tmp_path, WORLD, more=with_urls(tmp_path, hook.url, more=", events: [stopping, stopped]"))
        done = run_lastcall(config, "-v", "shutdown", "--reason", "poweroff", "--json")
        assert done.returncode == 0, done.stderr
        shown = [run_lastcall(config, *words) for words in (
            ("config", "show"), ("config", "show", "--json"), ("-v", "report"), ("report", "--json"), ("check",),
            ("notify", "flush", "--within", "3s"), ("-v", "plan"),
        )]  # fmt: skip
        assert len(list((tmp_path / "state" / "plugins" / "notify").glob("[0-9]*.json"))) == 2
        texts = [text for one in (done, *shown) for text in (one.stdout, one.stderr)]
        texts += [path.read_text() for path in (tmp_path / "state").rglob("*") if path.is_file()]
        assert not [text for text in texts if "s3cret-word" in text or "t0ken-of-mine" in text]
        hook.status = 200
        flushed = run_lastcall(config, "notify", "flush")
        assert flushed.returncode == 0, flushed.stderr
        assert len(hook.taken) == 2


def test_the_process_that_sends_ends_in_its_time_whoever_hangs(tmp_path: Path) -> None:
    run: Any = SimpleNamespace(folder=tmp_path, environment=lambda: {"PATH": "/usr/bin:/bin"})
    with deaf_server() as deaf:
        with_urls(tmp_path, f"mailto://127.0.0.1:{deaf}?from=a@b.de&to=c@d.de")
        settings = NotifySettings.model_validate({"urls": [str(tmp_path / "urls")]})
        message = Message(title="t", body="b", written=time.time())
        began = time.monotonic()
        process = start(run, settings, limit=2.5, once=message, heard=True)
        assert process.stdout
        with process.stdout:
            assert process.wait(20) == 1
        assert 2 < time.monotonic() - began < 6


@dataclass
class Broker:
    """A mosquitto on loopback that wants a password."""

    port: int
    folder: Path

    def retained(self) -> Mapping[str, Any]:
        """What is retained there, by topic."""
        found: dict[str, Any] = {}
        version: Any = getattr(paho, "CallbackAPIVersion", None)  # paho-mqtt 1.6 has none
        client: Any = paho.Client(version.VERSION2) if version else paho.Client()
        client.username_pw_set("ha", PASSWORD)

        def on_message(_client: object, _data: object, message: Any) -> None:
            text = message.payload.decode()
            if message.retain:  # else it came just now
                found[message.topic] = json.loads(text) if text.startswith("{") else text

        def on_connect(*_: object) -> None:
            client.subscribe("#", 1)

        client.on_connect = on_connect
        client.on_message = on_message
        client.connect("127.0.0.1", self.port)
        ends = time.monotonic() + 10
        while len(found) < 3 and time.monotonic() < ends:
            client.loop(0.1)
        client.disconnect()
        return found


@contextmanager
def listening(port: int, folder: Path) -> Generator[None]:
    """While it listens there."""
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin")
    assert program
    process = subprocess.Popen([program, "-c", str(folder / "mosquitto.conf")], stderr=subprocess.DEVNULL)
    try:
        ends = time.monotonic() + 10
        while (
            time.monotonic() < ends
            and "mosquitto"
            not in subprocess.run(
                ["ss", "-Hltnp", f"sport = :{port}"], capture_output=True, text=True, check=False
            ).stdout
        ):
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def broker(tmp_path: Path) -> Broker:
    """One that does not run yet."""
    folder = tmp_path / "broker"
    folder.mkdir()
    made = Broker(closed_port(), folder)
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(folder / "users"), "ha", PASSWORD], check=True)
    (folder / "mosquitto.conf").write_text(
        f"listener {made.port} 127.0.0.1\nallow_anonymous false\npassword_file {folder}/users\nuser root\n"
        f"persistence false\nlog_dest none\n"
    )
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    (tmp_path / "password").chmod(0o600)
    return made


def lab_config(broker: Broker, **more: Any) -> str:
    password = str(broker.folder.parent / "password")
    mqtt = {"host": "127.0.0.1", "port": broker.port, "user": "ha", "password_file": password}
    return json.dumps({"plugins": {"notify": {"mqtt": mqtt, "by_hand": True, "retry": "15s", **more}}})


def test_home_assistant_finds_the_host_and_what_its_last_run_came_to(lastcall_lab: MakeLab, broker: Broker) -> None:
    lab = lastcall_lab(config=lab_config(broker))
    lab.guest("db-1")
    lab.guest("deaf", takes=10_000)
    with listening(broker.port, broker.folder):
        lab.shutdown(reason=Reason.POWEROFF)
        found = broker.retained()
        device = found[f"homeassistant/device/lastcall_{NAME}/config"]
        assert set(device) >= {"device", "origin", "components", "state_topic", "availability_topic"}
        assert device["origin"]["name"]
        assert device["device"]["identifiers"]
        state = found[device["state_topic"]]
        for key, one in device["components"].items():
            assert one["platform"] in {"sensor", "binary_sensor"}
            assert one["unique_id"] == f"lastcall_{NAME}_{key}"
            assert one["value_template"] == f"{{{{ value_json.{key} }}}}"
            assert key in state
        assert found[device["availability_topic"]] == "offline"
        assert (state["phase"], state["outcome"], state["problem"]) == ("off", "not as planned", "ON")
        assert (state["forced"], state["forced_guests"], state["on_duty"]) == (1, ["deaf"], "ON")
        lab.restore()
        ends = time.monotonic() + 15
        while (found := broker.retained())[device["availability_topic"]] != "online" and time.monotonic() < ends:
            time.sleep(0.1)
        state = found[device["state_topic"]]
        assert (state["phase"], state["forced"], state["outcome"]) == ("running", 1, "as planned")


def test_a_broker_that_is_not_there_yet_gets_the_newest_state_when_it_is(lastcall_lab: MakeLab, broker: Broker) -> None:
    lab = lastcall_lab(config=lab_config(broker))
    lab.guest("db-1")
    report = lab.shutdown(reason=Reason.POWEROFF)
    assert report.run.exit_code == 0
    state = lab.folder / "plugins" / "notify" / "mqtt.json"
    assert json.loads(state.read_text())["published"] is False
    lab.restore()
    with listening(broker.port, broker.folder):
        ends = time.monotonic() + 20
        while not json.loads(state.read_text())["published"] and time.monotonic() < ends:
            time.sleep(0.05)
        assert broker.retained()[f"lastcall/{NAME}/availability"] == "online"
    for path in lab.folder.rglob("*"):
        assert not path.is_file() or path.is_relative_to(broker.folder) or path.name == "password" or (
            PASSWORD not in path.read_text()
        )  # fmt: skip


@pytest.mark.parametrize("what", ["a wrong password", "a server that never answers", "nobody"])
def test_a_broker_that_cannot_be_had_is_told_by_the_test_and_costs_its_time(
    lastcall_lab: MakeLab, broker: Broker, what: str
) -> None:
    with deaf_server() as deaf, listening(broker.port, broker.folder):
        if what == "a wrong password":
            (broker.folder.parent / "password").write_text("another\n")
        broker.port = {"a server that never answers": deaf, "nobody": closed_port()}.get(what, broker.port)
        lab = lastcall_lab(config=lab_config(broker))
        began = time.monotonic()
        told = lab.command("notify", "test", "--within", "4")
        assert time.monotonic() - began < 12
    assert told.exit_code == 1
    assert told.errors.startswith("✗ mqtt 127.0.0.1: ")
    assert "another" not in told.errors


def test_what_is_kept_for_the_broker_adds_up_over_hooks(tmp_path: Path) -> None:
    keep_state(tmp_path, phase="stopping", on_duty="ON")
    keep_state(tmp_path, phase="off", forced=2)
    kept = json.loads((tmp_path / "mqtt.json").read_text())
    assert (kept["phase"], kept["on_duty"], kept["forced"], kept["published"]) == ("off", "ON", 2, False)
    (tmp_path / "mqtt.json").write_text("[")
    keep_state(tmp_path, phase="running")
    assert json.loads((tmp_path / "mqtt.json").read_text())["phase"] == "running"
