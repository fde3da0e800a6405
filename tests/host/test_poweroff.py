"""Hosts that are powered off and rebooted: who is stopped when, how, and what comes back."""

import json
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lab import replaced
from lab.host import Entry, Host
from support import over_in_time, shell_blocks, unit_blocks

NEEDS = {"g01": 1, "g03": 3, "g05": 5, "g08": 8, "g10": 10, "g12": 12}
SWITCHES = {name: f"slow={seconds}" for name, seconds in NEEDS.items()}
ORDER = """\
guests:
  - {match: g12, depends_on: [g01]}
  - {match: g10, depends_on: [g03]}
"""

CRASH = """\
#!/bin/sh
[ -e /var/crashed ] || { touch /var/crashed; kill -SEGV $PPID; sleep 1; }
"""


def configure(host: Host, more: str) -> None:
    """Put a configuration in place of the sample."""
    host.run("cat > /etc/lastcall/config.yaml", given=f"# for a test\n{more}")


def last_report(host: Host, kind: str) -> Any:
    runs = json.loads(host.tries("lastcall report --json").stdout)["runs"]
    return next(run for run in runs if run["run"]["kind"] == kind)


def find(entries: list[Entry], pattern: str) -> list[Entry]:
    return [entry for entry in entries if re.search(pattern, entry.message)]


def unit_time(entries: list[Entry]) -> tuple[float, float]:
    """When systemd began to stop lastcall.service, and when that was over."""
    (began,) = find(entries, r"^Stopping lastcall\.service")
    (ended,) = find(entries, r"^Stopped lastcall\.service")
    return began.at, ended.at


def test_a_poweroff_lets_every_guest_shut_down_and_the_next_boot_brings_them_back_in_order(installed: Host) -> None:
    configure(installed, ORDER)
    installed.run("systemctl -q disable --now libvirt-guests")  # its own place in the order must not make up for ours
    installed.guests(**SWITCHES)
    assert "unit lastcall.service" not in installed.tries("lastcall check").stdout
    installed.stop()
    journal = installed.journal()
    began, ended = unit_time(journal)
    assert installed.cut_off(*NEEDS) == {}
    off = {name: find(journal, rf"^machine-qemu.*{name}\.scope: Deactivated")[0].at for name in NEEDS}
    assert began < min(off.values())
    assert max(off.values()) < ended, "no scope was left for systemd to stop"
    assert not find(journal, r"^Stopping machine-qemu"), "no scope was stopped by systemd"
    (daemon,) = find(journal, r"^Stopping libvirtd\.service")
    assert ended <= daemon.at

    # Whoever stands in front of it sees what it waits for; who looks afterwards finds every step by its fields.
    assert re.search(r"lastcall: stopping \d/6 · .*g12 asked.* s left", installed.console())
    assert "lastcall: done: 6 stopped" in installed.console()
    of_g12 = [entry for entry in journal if entry.fields.get("LASTCALL_GUEST") == "g12"]
    assert {"GuestAsked", "GuestEnded"} <= {entry.fields["LASTCALL_EVENT"] for entry in of_g12}
    assert {entry.fields["SYSLOG_IDENTIFIER"] for entry in of_g12} == {"lastcall"}
    assert of_g12[-1].fields["LASTCALL_OUTCOME"] == "stopped"

    installed.boot()
    none = "no guest waits to be restored"
    installed.wait_until(lambda: none in installed.run("lastcall status").splitlines(), "everybody is back")
    installed.wait_until(lambda: last_report(installed, "restore")["complete"], "the restore is over")
    assert installed.running() == set(NEEDS)
    stopped, restored = last_report(installed, "shutdown"), last_report(installed, "restore")
    assert (stopped["run"]["reason"], stopped["run"]["exit_code"], stopped["complete"]) == ("poweroff", 0, True)
    assert {guest["outcome"] for guest in stopped["guests"]} == {"stopped"}
    assert {guest["outcome"] for guest in restored["guests"]} == {"started"}
    took = {guest["name"]: guest["duration"] for guest in stopped["guests"]}
    chain = took["g12"] + took["g01"]
    assert stopped["run"]["duration"] <= 1.25 * chain, "the longest chain decides"
    assert ended - began < 1.5 * chain, "and so for the unit"
    began_at = {guest["name"]: guest["asked"] for guest in restored["guests"]}
    assert began_at["g01"] < began_at["g12"]
    assert began_at["g03"] < began_at["g10"]


def test_the_set_up_that_it_replaces_is_not_much_faster_on_the_same_guests(make_host: Callable[[], Host]) -> None:
    """`make bench` has the figures; here both go down at the same time, whatever else the machine does then."""
    theirs, ours = make_host(), make_host()
    for host in (theirs, ours):
        host.boot()
        host.guests(one="slow=1", four="slow=4")
    replaced.set_up(theirs)
    ours.run("lastcall install")
    with ThreadPoolExecutor(2) as both:
        needed, took = both.map(Host.stop, (theirs, ours))
    assert took < 2 * needed
    assert (theirs.cut_off("one", "four"), ours.cut_off("one", "four")) == ({}, {})


def test_a_reboot_is_told_from_a_poweroff_and_policy_may_differ(installed: Host) -> None:
    configure(installed, "shutdown: {by_reason: {reboot: {deadline: 77s}}}\n")
    installed.guests(one="slow=0")
    assert "reboot" in installed.run("lastcall plan --reason reboot")
    installed.stop("systemctl --no-block reboot")
    installed.boot()
    run = last_report(installed, "shutdown")["run"]
    assert (run["reason"], run["deadline"]) == ("reboot", 77.0)
    installed.stop("systemctl --no-block halt")
    installed.boot()
    assert last_report(installed, "shutdown")["run"]["reason"] == "halt"


def test_what_was_announced_counts_for_the_next_host_stop(installed: Host) -> None:
    configure(installed, "shutdown: {by_reason: {power: {reserve: 15s}}}\n")
    installed.guests(deaf="slow=0 deaf=1")
    assert ["lastcall announce --reason power --deadline 90s"] in shell_blocks("commands.md")
    assert "power" in installed.run("lastcall announce --reason power --deadline 35s")
    assert re.search(r"announced: the next host stop is for power, over within \d+s", installed.run("lastcall status"))
    installed.stop()
    installed.boot()
    shutdown = last_report(installed, "shutdown")
    assert shutdown["run"]["reason"] == "power"
    assert shutdown["run"]["deadline"] < 35
    assert over_in_time(shutdown)
    assert [guest["outcome"] for guest in shutdown["guests"]] == ["forced"]
    assert "announced" not in installed.run("lastcall status"), "an announcement is for one boot"


def test_a_second_shutdown_request_while_one_runs_changes_nothing(installed: Host) -> None:
    installed.guests(slow="slow=8", quick="slow=0")
    installed.run("systemctl --no-block poweroff")
    time.sleep(4)
    for again in ("systemctl --no-block poweroff", "systemctl --no-block reboot", "lastcall shutdown --yes"):
        installed.run(again, check=False)
    installed.wait_until_off()
    journal = installed.journal()
    assert len(find(journal, r"^shutdown \(\w+\) begins")) == 1
    assert installed.cut_off("slow") == {}
    assert len(find(journal, r"^slow: stopped")) == 1


def test_a_deaf_guest_gets_the_time_of_the_run_not_that_of_the_unit_and_never_more_than_the_deadline(
    installed: Host,
) -> None:
    configure(installed, "shutdown: {deadline: 40s, reserve: 15s, fail_unit: true}\n")
    installed.run("mkdir -p /etc/systemd/system/lastcall.service.d")
    installed.run("printf '[Service]\\nTimeoutStopSec=8\\n' > /etc/systemd/system/lastcall.service.d/short.conf")
    for path, unit in unit_blocks("troubleshooting.md").items():
        installed.run(f"cat > {path}", given=unit)
    installed.run("systemctl daemon-reload")
    installed.guests(deaf="slow=0 deaf=1", slow="slow=14")
    installed.run("systemctl --no-block poweroff")

    def shown() -> "re.Match[str] | None":
        text = installed.run("systemctl show -P StatusText lastcall.service").strip()
        return re.fullmatch(r"stopping \d/2 · .* · \d+ s left", text)

    installed.wait_until(shown, "the unit's status tells what is waited for")
    installed.wait_until_off()
    journal = installed.journal()
    began, ended = unit_time(journal)
    assert 8 + 1 < ended - began < 1.2 * 40
    assert not find(journal, "timed out")
    assert installed.cut_off("slow") == {}
    assert find(journal, r"^deaf: forced")
    assert find(journal, r"^a guest was forced off or left running"), "what its OnFailure= names was run"
    installed.boot()
    installed.wait_until(lambda: "slow" in installed.running(), "the failed unit keeps nobody from coming back")
    installed.wait_until(
        lambda: "1 forced (deaf)" in installed.tries("cat /etc/motd.d/lastcall").stdout, "a login says so"
    )
    installed.run("lastcall report --ack")
    assert not installed.tries("cat /etc/motd.d/lastcall").stdout


def test_a_poweroff_while_guests_are_brought_back_stops_those_that_are(installed: Host) -> None:
    configure(installed, "restore: {parallel: 1, delay: 6s}\n")
    installed.guests(one="slow=1", two="slow=1", three="slow=1")
    installed.stop()
    installed.power_on()
    installed.wait_until(installed.running, "the first guest is back")
    (first,) = installed.running()
    installed.wait_until_up(first)
    installed.stop()
    journal = installed.journal()
    assert find(journal, rf"^{first}: stopped")
    assert installed.cut_off(first) == {}
    installed.boot()
    installed.wait_until(lambda: installed.running() == {"one", "two", "three"}, "all guests are back")


def test_a_run_that_is_killed_gets_a_second_chance_in_what_is_left_of_its_time(installed: Host) -> None:
    """As when a library crashes, or memory is short."""
    hook = "/etc/lastcall/hooks.d/pre_shutdown/10-crash"
    installed.run(f"mkdir -p $(dirname {hook}); cat > {hook}; chmod 755 {hook}", given=CRASH)
    configure(installed, "shutdown: {deadline: 2min}\n")
    installed.guests(one="slow=1", two="slow=2")
    installed.run("lastcall announce --reason power")
    installed.stop()
    assert installed.cut_off("one", "two") == {}
    begun = find(installed.journal(), r"^shutdown \(power\) begins")
    assert len(begun) == 2
    assert "over within 2min" in begun[0].message
    (left,) = re.findall(r"over within ([\d.]+)s", begun[1].message)
    assert 0 < float(left) < 120
    installed.boot()
    assert last_report(installed, "shutdown")["complete"]
