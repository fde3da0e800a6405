"""This host as a device of Home Assistant: retained messages to a broker of MQTT, by paho-mqtt.

The format is that of https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload. Only the newest state
counts, so that one file keeps it until the broker has it.
"""

import importlib.util
import json
import platform
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lastcall import Json, LastcallError, TextFile, __version__, from_json
from lastcall.options import Secret

INSTALL = "apt install python3-paho-mqtt, or pip install 'lastcall[mqtt]' where lastcall is"
_STATE = "mqtt.json"
# What Home Assistant shows: the key of the state, its name there, its platform, and what else belongs to that.
_SENSORS: Mapping[str, tuple[str, str, Mapping[str, Json]]] = {
    "on_duty": ("On duty", "binary_sensor", {"device_class": "running"}),
    "phase": ("Phase", "sensor", {"device_class": "enum", "options": ["running", "stopping", "off"]}),
    "outcome": ("Last run", "sensor", {"device_class": "enum", "options": ["as planned", "not as planned"]}),
    "last_run": ("Last run at", "sensor", {"device_class": "timestamp"}),
    "problem": ("Problem", "binary_sensor", {"device_class": "problem"}),
    "problems": ("Problems", "sensor", {"state_class": "measurement"}),
    "forced": ("Guests that were forced", "sensor", {"state_class": "measurement"}),
}


def is_installed() -> bool:
    """Whether paho-mqtt is there."""
    return bool(importlib.util.find_spec("paho") and importlib.util.find_spec("paho.mqtt"))


def keep_state(folder: Path, **changed: Json) -> None:
    """Have the sender publish this, beside what was so before. Raises LastcallError."""
    file = TextFile(folder / _STATE)
    file.write(json.dumps({**_kept(file), **changed, "published": False, "at": time.time()}))


def publish_state(settings: Mapping[str, Any], folder: Path, seconds: float, *, forced: bool = False) -> str | None:
    """Publish what is kept, if it is not yet; returns why that failed, nothing where it worked, None for nothing to do.

    Blocks for at most `seconds`, but for a name that nobody resolves. `forced`: publish it anyway.
    """
    try:
        file = TextFile(folder / _STATE)
        state = _kept(file)
        if state.get("published", True) and not forced:
            return None
        if not is_installed():
            return f"paho-mqtt is not installed: {INSTALL}"
        _publish(settings, _messages(settings["prefix"], state), time.monotonic() + seconds)
        if _kept(file) == state:  # else another hook has something newer
            file.write(json.dumps({**state, "published": True}))
    except (OSError, ValueError, LastcallError) as error:
        return str(error) or type(error).__name__
    return ""


def _kept(file: TextFile) -> dict[str, Any]:
    try:
        found = from_json(file.read() or "{}")
    except (ValueError, LastcallError):
        return {}
    return {**found} if isinstance(found, Mapping) else {}


def _messages(prefix: str, state: Mapping[str, Any]) -> dict[str, str]:
    """The topics, and what is retained there: how the device is found, its state, and whether it is there."""
    host = platform.node() or "host"
    name = re.sub(r"[^A-Za-z0-9_-]", "_", host)  # what a topic of theirs may have
    told = f"lastcall/{name}"
    components = {
        key: {
            "platform": kind, "name": title, "unique_id": f"lastcall_{name}_{key}",
            "value_template": f"{{{{ value_json.{key} }}}}", **more,
        }
        for key, (title, kind, more) in _SENSORS.items()
    }  # fmt: skip
    components["forced"] |= {"json_attributes_topic": f"{told}/state"}
    device = {
        "device": {"identifiers": [f"lastcall_{name}"], "name": f"lastcall {host}", "sw_version": __version__},
        "origin": {"name": "lastcall", "sw_version": __version__, "support_url": "https://lastcall.dev"},
        "availability_topic": f"{told}/availability",
        "state_topic": f"{told}/state",
        "qos": 1,
        "components": components,
    }
    shown = {key: state.get(key) for key in (*_SENSORS, "forced_guests")}
    available = "offline" if state.get("phase") == "off" else "online"
    return {
        f"{prefix.strip('/')}/device/lastcall_{name}/config": json.dumps(device),
        f"{told}/state": json.dumps(shown),
        f"{told}/availability": available,
    }


def _publish(settings: Mapping[str, Any], messages: Mapping[str, str], ends: float) -> None:
    """Raises OSError, ValueError and LastcallError."""
    from paho.mqtt import client as paho

    # paho-mqtt 2 wants to be told for which of its interfaces a program was written; 1.6 knows one.
    version: Any = getattr(paho, "CallbackAPIVersion", None)
    client: Any = paho.Client(version.VERSION2) if version else paho.Client()
    if settings["user"]:
        password = Secret(settings["password_file"]).read().reveal() if settings["password_file"] else None
        client.username_pw_set(settings["user"], password)
    if settings["tls"]:
        client.tls_set()
    refused: list[str] = []

    def on_connect(_client: object, _data: object, _flags: object, code: object, *_more: object) -> None:
        refused.append("" if code == 0 else str(code))

    client.on_connect = on_connect
    client.connect_timeout = max(0.1, ends - time.monotonic())
    client.connect(settings["host"], settings["port"] or (8883 if settings["tls"] else 1883))
    client.loop_start()
    try:
        _wait(lambda: bool(refused), ends, "the broker does not answer")
        if refused[0]:
            raise ConnectionError(f"the broker refuses: {refused[0]}")
        sent = [client.publish(topic, text, qos=1, retain=True) for topic, text in messages.items()]
        _wait(lambda: all(one.is_published() for one in sent), ends, "the broker does not take what is published")
    finally:
        client.disconnect()
        client.loop_stop()


def _wait(done: Any, ends: float, otherwise: str) -> None:
    while not done():
        if time.monotonic() > ends:
            raise TimeoutError(otherwise)
        time.sleep(0.02)
