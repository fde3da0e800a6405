"""A host on which each part of libvirt is a daemon of its own, as Fedora has them and Debian does not."""

from collections.abc import Callable

from host.test_daily_life import PROMPT, wait_for
from host.test_poweroff import find, last_report, unit_time
from lab.host import Host
from lab.modular import DRIVERS, make_modular


def test_with_a_daemon_for_each_part_of_libvirt_guests_are_stopped_before_all_of_them_and_come_back(
    make_host: Callable[[], Host],
) -> None:
    host = make_host()
    host.boot()
    make_modular(host)
    host.run("systemctl -q disable --now libvirt-guests")  # its own place in the order must not make up for ours
    guests = {"one": "slow=1", "two": "slow=2"}
    host.guests(**guests)
    assert "on duty" in host.run("lastcall install")
    assert "nothing wrong found" in host.run("lastcall check")
    host.run("systemctl restart virtqemud virtnetworkd")
    wait_for(host, set(guests))
    host.stop()
    assert host.cut_off(*guests) == {}
    journal = host.journal()
    assert find(journal, r"^shutdown is over .*: as planned")
    assert not find(journal, r"^Stopping machine-qemu"), "no scope was left for systemd to stop"
    _, ended = unit_time(journal)
    for daemon in DRIVERS:
        for pattern in (rf"^Stopping {daemon}\.service", rf"^Closed {daemon}\.socket"):
            (gone,) = [entry for entry in find(journal, pattern) if entry.at > unit_time(journal)[0]]
            assert ended <= gone.at, pattern
    host.boot()
    wait_for(host, set(guests))
    assert {guest["outcome"] for guest in last_report(host, "restore")["guests"]} == {"started"}
    assert "nothing wrong found" in host.run("lastcall check")


def test_a_daemon_that_has_ended_as_nobody_needed_it_does_not_hold_up_a_poweroff(make_host: Callable[[], Host]) -> None:
    host = make_host()
    host.boot()
    make_modular(host, idle=1)
    host.run("lastcall install")

    def sleeps() -> bool:
        return host.tries("systemctl is-active virtqemud.service").stdout.strip() == "inactive"

    host.wait_until(sleeps, "virtqemud ends")
    host.stop()
    began, ended = unit_time(host.journal())
    assert ended - began < PROMPT
