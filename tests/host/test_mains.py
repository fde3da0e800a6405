"""Mains that fail and come back, as NUT tells of them: from the UPS through upsmon and the socket to the guests.

The tests share one host, and each finds it on the mains with all guests up. What a UPS claims that cannot be, and that
it does not answer, is in tests/integration/test_ups.py; words, floods and foreign peers on the socket in
test_power_door.py.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from host.test_poweroff import configure, find, last_report, unit_time
from lab import mains
from lab.host import Host
from lab.host import host as new_host
from support import by_name_in

HOLD = 6  # seconds
UPSMON = "/etc/nut/upsmon.conf"
RULES = f"""\
plugins: {{power: {{return_after: {HOLD}s, restore_charge: 30}}}}
guests:
  - {{match: job, shed: 0s, depends_on: build}}
  - {{match: build, shed: 0s, depends_on: web}}
  - {{match: web, shed: 0s}}
"""
NOBODY = RULES.replace("power: {", "power: {on_battery: nothing, ")
GUESTS = {"job": "slow=1", "build": "slow=6", "web": "slow=1", "db": "slow=12"}
STAYS = {"db"}


@dataclass(frozen=True)
class Home:
    """A host and its UPS."""

    host: Host
    ups: mains.Ups

    def restores(self) -> list[str]:
        """The runs that have brought guests back."""
        runs = json.loads(self.host.run("lastcall runs --json"))["runs"]
        return [run["id"] for run in runs if run["kind"] == "restore"]

    def waits_for(self, *names: str) -> None:
        """Wait until these and nobody else run."""
        self.host.wait_until(lambda: self.host.running() == set(names), f"these run: {names}")

    def waits_until_asked(self, name: str, since: float) -> None:
        """Wait until a guest is asked to shut down; `since`: on the monotonic clock."""
        entries = f"journalctl -b -q -o json --grep '{name}: acpi'"

        def asked() -> bool:
            told = map(json.loads, self.host.tries(entries).stdout.splitlines())
            return any(int(one["__MONOTONIC_TIMESTAMP"]) / 1e6 > since for one in told)

        self.host.wait_until(asked, f"{name} is asked")

    def is_watched(self) -> bool:
        """Whether an outage is seen through."""
        return self.host.tries("systemctl is-active lastcall-outage.service").returncode == 0

    def is_calm(self) -> bool:
        """Whether all is as if nothing had been."""
        return self.host.running() == set(GUESTS) and not self.is_watched()


def asked_at(report: Any, name: str) -> float:
    """When a guest was asked, as the journal counts its time of day."""
    return datetime.fromisoformat(report["run"]["started"]).timestamp() + by_name_in(report, name)["asked"]


@pytest.fixture(scope="module")
def set_up(image: Path) -> Iterator[Home]:
    """A host on which a newcomer has followed docs/ups.md, line by line."""
    with new_host(image) as host:
        ups = mains.set_up(host)
        assert "nothing wrong found" in host.run("lastcall check")
        configure(host, RULES)
        host.guests(**GUESTS)
        yield Home(host, ups)


@pytest.fixture
def home(set_up: Home) -> Home:
    """The same, whatever the test before has left."""
    host = set_up.host
    set_up.ups.says("OL")
    if host.is_off():
        host.power_on()
    host.wait_until(set_up.is_calm, "everybody is up, and the outage is over")
    for name in GUESTS:
        host.wait_until_up(name)
    return set_up


def test_where_the_mains_come_back_while_guests_are_shed_nobody_else_is_asked_and_those_come_back_in_order(
    home: Home,
) -> None:
    host, began = home.host, time.monotonic()
    home.ups.says("OB DISCHRG")
    home.waits_until_asked("build", began)
    home.ups.says("OL CHRG")
    host.wait_until(home.is_calm, "everybody is back")
    assert "ups@localhost: battery, from user" in host.run("journalctl -t lastcall-power --no-pager")
    shed, back = last_report(host, "shutdown"), last_report(host, "restore")
    assert (shed["run"]["reason"], shed["run"]["mains_back"] is not None) == ("shed", True)
    assert [by_name_in(shed, name)["ended"] for name in ("job", "build")] == ["shutdown"] * 2
    assert by_name_in(shed, "web")["asked"] is None
    assert {name for name in GUESTS if "Power down" in host.serial(name)} == set(), "who was off has booted anew"
    assert {guest["name"]: guest["outcome"] for guest in back["guests"]} == {"build": "started", "job": "started"}
    assert asked_at(back, "build") < asked_at(back, "job")
    ended = datetime.fromisoformat(shed["run"]["started"]).timestamp() + shed["run"]["mains_back"]
    assert asked_at(back, "build") - ended > HOLD - 2, "the mains had to hold"


def test_in_an_outage_whoever_kills_the_run_or_starts_a_guest_or_has_the_mains_back_for_a_moment_changes_no_plan(
    home: Home,
) -> None:
    host, began = home.host, time.monotonic()
    restores = home.restores()
    home.ups.says("OB DISCHRG")
    home.waits_until_asked("build", began)
    host.run("kill -KILL $(pgrep -f '[l]astcall shed --due')")
    home.waits_for(*STAYS)
    assert by_name_in(last_report(host, "shutdown"), "web")["ended"] == "shutdown", "the next one has gone on"
    host.run("virsh -q start job")
    by_hand = host.run("virsh domid job")
    home.ups.says("OL CHRG")
    time.sleep(HOLD / 2)
    home.ups.says("OB DISCHRG")
    time.sleep(HOLD)
    assert "somebody has started it again" in " ".join(host.run("lastcall shed --due").split())
    assert host.running() == {*STAYS, "job"}, "nobody starts, and nobody is shed again"
    assert home.restores() == restores
    home.ups.says("OL CHRG")
    host.wait_until(home.is_calm, "everybody is back")
    back = last_report(host, "restore")
    assert asked_at(back, "web") < asked_at(back, "build")
    assert host.run("virsh domid job") == by_hand


def test_a_battery_that_runs_low_while_guests_are_shed_has_all_asked_at_once_and_all_come_back_at_the_next_boot(
    home: Home,
) -> None:
    host = home.host
    configure(host, f"{RULES}  - {{match: deaf, shed: 0s}}\n")
    folder = "/etc/systemd/system/lastcall.service.d"
    host.run(f"mkdir -p {folder}; printf '[Service]\\nTimeoutStopSec=8\\n' > {folder}/short.conf")
    host.run("systemctl daemon-reload")
    host.guests(deaf="slow=0 deaf=1")
    home.ups.says("OB DISCHRG", runtime=90)
    home.waits_for(*STAYS, "deaf")
    home.ups.says("OB LB", runtime=90, charge=12)
    host.wait_until_off()
    journal = host.journal()
    _, ended = unit_time(journal)
    (stopping,) = find(journal, r"^Stopping lastcall\.service")
    assert host.cut_off("db") == {}
    assert (host.upper / "etc/killpower").exists()
    for unit in ("nut-server", "nut-driver@ups"):
        (stopped,) = find(journal, rf"^Stopping {unit}\.service")
        assert stopped.at >= ended, unit

    home.ups.says("OL CHRG", charge=12)
    host.power_on()
    status = "waits for 30 % charge: 12 %"
    host.wait_until(lambda: status in host.tries("lastcall status").stdout, "it waits for the battery")
    assert host.running() == set()
    home.ups.says("OL CHRG", charge=31)
    host.wait_until(lambda: host.running() == {*GUESTS, "deaf"}, "everybody is back")
    report = last_report(host, "shutdown")
    assert report["run"]["reason"] == "power"
    at = int(stopping.fields["__REALTIME_TIMESTAMP"]) / 1e6
    assert asked_at(report, "db") - at < 3
    forced = by_name_in(report, "deaf")
    assert (forced["outcome"], forced["asked"] is not None) == ("forced", True)
    assert forced["started"] + forced["duration"] >= report["run"]["last_resort"]
    host.run("virsh -q destroy deaf; virsh -q undefine deaf")
    host.run(f"rm {folder}/short.conf; systemctl daemon-reload")
    configure(host, RULES)


def test_mains_that_are_back_before_the_host_has_to_stop_turn_a_run_for_want_of_power_round(home: Home) -> None:
    host, began = home.host, time.monotonic()
    configure(host, NOBODY)
    home.ups.says("OB DISCHRG")
    host.wait_until(home.is_watched, "the outage is seen through")
    host.run("systemd-run --quiet lastcall shutdown --reason power --yes")
    home.waits_until_asked("build", began)
    home.ups.says("OL CHRG")
    host.wait_until(home.is_calm, "everybody is back")
    turned = last_report(host, "shutdown")
    assert turned["run"]["mains_back"] is not None
    assert by_name_in(turned, "web")["asked"] is None
    assert {guest["name"] for guest in last_report(host, "restore")["guests"]} == {"job", "build", "db"}
    configure(host, RULES)


def test_mains_that_are_back_once_the_host_stops_give_it_its_time_again_and_nut_is_there_until_the_last_guest_is_off(
    home: Home,
) -> None:
    host, began = home.host, time.monotonic()
    configure(host, NOBODY)
    home.ups.says("OB DISCHRG", runtime=40)
    host.wait_until(home.is_watched, "the outage is seen through")
    host.run("lastcall power low --ups ups@localhost; systemctl --no-block poweroff")
    home.waits_until_asked("db", began)
    home.ups.says("OL CHRG")
    host.wait_until_off()
    journal = host.journal()
    _, ended = unit_time(journal)
    assert host.cut_off("db") == {}, "by what the battery had left its plug would have been pulled"
    for unit in ("nut-monitor", "nut-server", "nut-driver@ups"):
        (stopped,) = find(journal, rf"^Stopping {unit}\.service")
        assert stopped.at >= ended, unit
    host.power_on()
    host.wait_until(lambda: host.running() == set(GUESTS), "everybody is back")
    run = last_report(host, "shutdown")["run"]
    assert (run["reason"], run["mains_back"] is not None) == ("poweroff", True)
    configure(host, RULES)


def test_the_power_of_two_hosts_on_one_ups_is_cut_after_the_last_guest_of_the_second(home: Home, image: Path) -> None:
    host = home.host
    with new_host(image) as second:
        mains.set_up_second(host, second)
        assert "nothing wrong found" in second.run("lastcall check")
        second.guests(far="slow=20")
        mains.note_the_cut(host)
        home.ups.says("OB LB")
        second.wait_until_off()
        host.wait_until_off()
        journal = second.journal()
        off = find(journal, r"^machine-qemu.*far\.scope: Deactivated")[0].at
        assert second.cut_off("far") == {}
        cut = mains.cut_at(host)
        assert cut is not None
        assert off < cut


def test_a_host_on_two_upses_lives_by_either_and_goes_down_in_order_when_nobody_tells_of_them_any_more(
    home: Home,
) -> None:
    host = home.host
    left, right = mains.have_upses(host, "left", "right")
    two = "\n".join(f"MONITOR {one}@localhost 1 monuser PASSWORD primary" for one in ("left", "right"))
    host.run(f"sed -i '/^MONITOR/d' {UPSMON}; cat >> {UPSMON}", given=f"{two}\nMINSUPPLIES 1\n")
    configure(host, RULES.replace("power: {", "power: {ups: [left@localhost, right@localhost], supplies: 1, "))
    host.run("systemctl restart nut-driver-enumerator nut-server nut-monitor")
    host.wait_until(lambda: "\n! ups " not in host.tries("lastcall check").stdout, "both answer", pause=1)
    left.says("OB LB", runtime=30)
    host.wait_until(lambda: "left@localhost: low" in host.run("journalctl -t lastcall-power --no-pager"), "it is told")
    time.sleep(HOLD)
    assert host.running() == set(GUESTS)
    assert "announced" not in host.run("lastcall status")
    right.says("OB")
    home.waits_for(*STAYS)
    host.run("systemctl kill -s KILL nut-server")
    host.wait_until_off()
    assert host.cut_off("db") == {}
    (begins,) = find(host.journal(), r"^shutdown \(power\) begins")
    seconds = float(begins.message.rpartition("over within ")[2].removesuffix("s"))
    assert 60 < seconds <= 90, "that is counted on where nobody answers"
