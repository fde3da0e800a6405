"""Three hosts that are all told to reboot: one at a time does, also when one of them dies on the way."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

from host.test_poweroff import configure
from lab.fleetlock import Locks, over_unix
from lab.host import Host
from lastcall.runs.fleet.host_id import APPLICATION

NAMES = ("ha", "hb", "hc")
GROUP = "default"
# These hosts have no network but their own: what they ask on it goes through a socket that all of them are shown.
DOOR = """\
cat > /etc/systemd/system/locks.socket <<'END'
[Socket]
ListenStream=127.0.0.1:8787
[Install]
WantedBy=sockets.target
END
cat > /etc/systemd/system/locks.service <<'END'
[Service]
ExecStart=/lib/systemd/systemd-socket-proxyd /locks/server
END
systemctl daemon-reload
systemctl -q enable --now locks.socket
"""


class Fleet:
    """The hosts, and when each was down: since its systemd was told to reboot, until its guest was back."""

    def __init__(self, hosts: dict[str, Host], locks: Locks) -> None:
        self.hosts, self.locks = hosts, locks

    def prepare(self, name: str) -> None:
        host = self.hosts[name]
        host.boot()
        host.run(f"lastcall install\n{DOOR}")
        configure(host, f"fleet_lock: {{url: 'http://127.0.0.1:8787', id: {name}}}\n")
        host.guests(web="")

    def reboot(self, name: str, *, dies: bool = False) -> None:
        """Have it reboot when it may, as an updater of its own would; `dies`: it does not come up again."""
        host = self.hosts[name]
        host.stop("lastcall reboot --wait 10min")
        if dies:
            return
        host.boot()
        host.wait_until(lambda: name not in self.locks.holders[GROUP], f"{name} gives the lock back", pause=0.5)
        assert host.running() == {"web"}, "before that its guest was back"


def spans(locks: Locks) -> list[tuple[str, float, float]]:
    """Who held the lock from when to when, in the order in which they got it."""
    since, found = dict[str, float](), list[tuple[str, float, float]]()
    for at, endpoint, who, status in locks.asked:
        if status == 200 and endpoint.endswith("pre-reboot"):
            since[who] = at
        elif status == 200 and who in since:
            found.append((who, since.pop(who), at))
    return sorted(found, key=lambda one: one[1])


def test_a_rolling_reboot_takes_one_host_at_a_time_and_stops_at_one_that_dies_until_somebody_says_go_on(
    make_host: Callable[[], Host], tmp_path: Path
) -> None:
    locks = Locks()
    hosts = {name: make_host() for name in NAMES}
    fleet = Fleet(hosts, locks)
    with over_unix(locks, tmp_path / "server"), ThreadPoolExecutor(len(NAMES)) as each:
        for host in hosts.values():
            host.shown["/locks"] = tmp_path
        list(each.map(fleet.prepare, NAMES))
        assert hosts["ha"].run("lastcall check | grep -c 'fleet lock' || true").strip() == "0"
        by_systemd = hosts["ha"].run(f"systemd-id128 machine-id --app-specific={APPLICATION.hex}")
        own = "from lastcall.runs.fleet.host_id import host_id; print(host_id())"
        assert hosts["ha"].run(f'/opt/lastcall/bin/python -c "{own}"') == by_systemd, "its name, where it is given none"
        going = {name: each.submit(fleet.reboot, name, dies=name == "ha") for name in ("ha",)}
        going["ha"].result()  # it has the lock, is down, and its power fails there
        going |= {name: each.submit(fleet.reboot, name) for name in ("hb", "hc")}
        hosts["hb"].wait_until(
            lambda: {"hb", "hc"} <= {who for _, _, who, status in locks.asked if status == 409}, "both ask"
        )
        time.sleep(6)  # they ask again, every five seconds
        assert locks.holders == {GROUP: {"ha"}}
        assert all(host.running() == {"web"} for name, host in hosts.items() if name != "ha")
        told = hosts["hb"].run("lastcall lock release --id ha")
        assert "is given back for ha" in told
        for name in ("hb", "hc"):
            going[name].result()
        hosts["ha"].boot()  # it comes up after all: what it remembers harms nobody
        hosts["ha"].wait_until(
            lambda: not (hosts["ha"].upper / "var/lib/lastcall/fleet-lock.json").exists(), "it has given it back"
        )
    held = spans(locks)
    assert {who for who, _, _ in held} == set(NAMES)
    for (_, _, ends), (_, begins, _) in pairwise(held):
        assert ends <= begins, f"never two at once: {held}"
    down = {name: boots(host) for name, host in hosts.items()}
    assert all(len(found) == 2 for found in down.values()), "each has booted once more"


def boots(host: Host) -> list[str]:
    """The boots that its journal has."""
    return sorted({entry.fields["_BOOT_ID"] for boot in (0, -1) for entry in host.journal(boot=boot)})
