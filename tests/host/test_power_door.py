"""Words about the power on a booted host: through the socket, as a UPS daemon says them, and what they start."""

import json
from typing import TYPE_CHECKING

from lab.host import Host

if TYPE_CHECKING:
    import subprocess

UNITS = (
    "lastcall-outage.service", "lastcall-power.socket", "lastcall-power@1.service", "lastcall-power-again.service",
)  # fmt: skip
FLOOD = """\
python3 - <<'END'
import socket, time
until = time.monotonic() + 4
while time.monotonic() < until:
    try:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect("/run/lastcall/power.sock")
    except OSError:
        time.sleep(0.01)
END
"""


def as_daemon(host: Host, words: str, user: str = "upsd") -> "subprocess.CompletedProcess[str]":
    """As NOTIFYCMD and its like call it."""
    return host.tries(f"setpriv --reuid={user} --regid={user} --init-groups -- lastcall power {words}")


def state(host: Host, unit: str) -> str:
    return host.run(f"systemctl show -P ActiveState {unit}").strip()


def test_a_ups_daemon_speaks_through_the_socket_and_nobody_else_does(installed: Host) -> None:
    host = installed
    host.run("useradd --system --user-group upsd; useradd --system --user-group stranger")
    refused = as_daemon(host, "battery")
    assert refused.returncode == 4
    assert "lastcall install --power-group" in refused.stderr
    host.run("lastcall install --power-group upsd")
    assert host.tries(f"systemd-analyze verify {' '.join(UNITS)}").stderr == ""
    assert host.run("stat -c %a:%U:%G /run/lastcall/power.sock").strip() == "660:root:upsd"
    said = as_daemon(host, "battery --ups ups@localhost")
    assert (said.returncode, said.stdout) == (0, "ups@localhost: battery\n"), said.stderr
    host.wait_until(lambda: state(host, UNITS[0]) == "active", "the outage is watched")
    assert "ups@localhost: battery, from user" in host.run("journalctl -t lastcall-power --no-pager")
    assert as_daemon(host, "low", "stranger").returncode == 4
    assert "power: on battery for" in host.run("lastcall status")
    # A watch that is killed goes on.
    host.run("systemctl kill -s KILL lastcall-outage.service")
    host.wait_until(
        lambda: host.run("systemctl show -P NRestarts lastcall-outage.service").strip() == "1", "it is back"
    )
    found = json.loads(as_daemon(host, "low --json").stdout)
    assert found["announced"]["reason"] == "power"
    assert as_daemon(host, "line").returncode == 0
    host.run("lastcall uninstall")
    assert host.tries("test -e /run/lastcall/power.sock").returncode == 1
    assert as_daemon(host, "battery").returncode == 4


def test_a_flood_ends_the_socket_for_some_seconds_and_it_comes_back(installed: Host) -> None:
    host = installed
    host.run("useradd --system --user-group upsd; lastcall install --power-group upsd")
    host.run(FLOOD)
    assert "trigger-limit-hit" in host.run("journalctl -u lastcall-power.socket --no-pager")
    said = as_daemon(host, "battery")
    assert (said.returncode, said.stdout) == (0, "power: battery\n"), said.stderr
    host.run(FLOOD)  # whoever does it again has no more of it
    assert as_daemon(host, "line").returncode == 0
    host.wait_until(lambda: state(host, UNITS[1]) == "active", "the socket listens again")
    assert "lastcall-power@" not in host.run("systemctl --failed --no-legend --plain"), "nothing of it is left behind"


def test_while_the_host_stops_the_socket_still_takes_a_word(installed: Host) -> None:
    """Whoever hears of it then hears that the mains are back."""
    host = installed
    host.run("useradd --system --user-group upsd; lastcall install --power-group upsd")
    hook = "/etc/lastcall/hooks.d/pre_shutdown/10-word"
    host.run(
        f"mkdir -p {hook.rpartition('/')[0]}; printf '#!/bin/sh\\nsetpriv --reuid=upsd --regid=upsd --init-groups -- "
        f"/opt/lastcall/bin/lastcall power line > /var/log/word 2>&1\\n' > {hook}; chmod +x {hook}"
    )
    host.stop()
    host.boot()
    assert host.run("cat /var/log/word").splitlines()[0].startswith("power: line")
