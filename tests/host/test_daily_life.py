"""What is no shutdown of the host: manual stops, daemons that restart, boots without libvirt, upgrades."""

import json
import time

from host.test_poweroff import configure, find, last_report, unit_time
from lab.host import Host

SOCKETS = "libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket"


PROMPT = 90.0  # seconds, of the 10 minutes that a shutdown may take


def wait_for(host: Host, names: set[str]) -> None:
    host.wait_until(lambda: host.running() == names, f"these guests run: {names}")


def is_active(host: Host) -> bool:
    return host.tries("systemctl is-active lastcall.service").stdout.strip() == "active"


def test_manual_stops_and_daemon_restarts_stop_no_guest_and_the_next_poweroff_still_works(installed: Host) -> None:
    installed.guests(one="slow=1", two="slow=2")
    guests = {"one", "two"}
    for attempt in ("stop", "restart", "try-restart"):
        refused = installed.tries(f"systemctl {attempt} lastcall.service")
        assert refused.returncode != 0, attempt
        assert "refused" in refused.stderr, refused.stderr
    for daily in (
        "systemctl restart libvirtd",
        f"systemctl stop {SOCKETS}; systemctl start libvirtd.socket",
        "systemctl daemon-reload; systemctl daemon-reexec",
        "systemctl isolate rescue.target; systemctl isolate multi-user.target",
        "systemctl stop graceful-shutdown.service || :",
    ):
        installed.run(daily)
        time.sleep(1)
        assert installed.run("systemctl is-active lastcall.service").strip() == "active", daily
        wait_for(installed, guests)
    assert installed.tries("lastcall status").returncode == 0
    journal = installed.journal()
    assert not find(journal, r"^shutdown \(")
    assert not find(journal, "the host does not stop"), "the unit was not even asked to stop"
    installed.stop()
    assert installed.cut_off(*guests) == {}


def test_a_stop_that_gets_through_although_the_host_goes_on_touches_no_guest_and_is_undone(installed: Host) -> None:
    installed.run("mkdir -p /etc/systemd/system/lastcall.service.d")
    installed.run("printf '[Unit]\\nRefuseManualStop=no\\n' > /etc/systemd/system/lastcall.service.d/manual.conf")
    installed.run("systemctl daemon-reload")
    installed.guests(one="slow=1")
    for action in ("stop", "restart"):
        installed.tries(f"systemctl {action} lastcall.service")
        installed.wait_until(lambda: is_active(installed), f"{action} is undone")
    assert installed.running() == {"one"}
    assert find(installed.journal(), "the host does not stop: no guest is touched")
    installed.stop()
    assert installed.cut_off("one") == {}


def test_by_hand_it_asks_on_a_terminal_only(installed: Host) -> None:
    installed.guests(one="slow=0")
    asked = installed.run("script -qec 'lastcall shutdown' /dev/null", given="n\n", check=False)
    assert "Stop all running guests of this host now?" in asked
    assert installed.running() == {"one"}
    assert installed.tries("lastcall shutdown < /dev/null").returncode == 0
    assert installed.running() == set()


def test_guests_are_restored_when_a_libvirtd_that_was_disabled_at_boot_comes(installed: Host) -> None:
    installed.guests(one="slow=1")
    installed.run(f"systemctl -q disable {SOCKETS}")
    installed.stop()
    installed.boot()
    time.sleep(3)
    assert installed.run("systemctl is-active lastcall.service").strip() == "active"
    assert "waits to be restored in this boot, as soon as libvirt answers" in installed.tries("lastcall status").stdout
    assert "not back since the last shutdown: one" in installed.run("cat /etc/motd.d/lastcall")

    # A poweroff in between loses nobody.
    installed.stop()
    installed.boot()
    installed.run(f"systemctl start {SOCKETS}")
    wait_for(installed, {"one"})
    installed.wait_until(lambda: "no guest waits" in installed.run("lastcall status"), "no guest waits")
    # Of the restores in which it could not be had the login goes on to tell, until somebody has seen that.
    told = installed.run("cat /etc/motd.d/lastcall")
    assert "1 failed (one)" in told
    assert "not back" not in told
    installed.run("lastcall report --ack")
    assert installed.tries("cat /etc/motd.d/lastcall").returncode != 0
    installed.wait_until_up("one")
    installed.stop()
    assert installed.cut_off("one") == {}


def test_a_libvirtd_that_is_broken_at_boot_hinders_no_shutdown_and_a_slow_one_delays_the_restore(
    installed: Host,
) -> None:
    drop_in = "/etc/systemd/system/libvirtd.service.d/lab.conf"
    installed.run("mkdir -p /etc/systemd/system/libvirtd.service.d")
    installed.guests(one="slow=1")
    installed.run(f"printf '[Service]\\nExecStartPre=/bin/false\\nRestart=no\\n' > {drop_in}")
    installed.stop()
    installed.boot()
    assert installed.run("systemctl is-active lastcall.service").strip() == "active"
    installed.stop()
    began, ended = unit_time(installed.journal())
    assert ended - began < PROMPT
    installed.power_on()
    installed.run(f"printf '[Service]\\nExecStartPre=/bin/sleep 5\\n' > {drop_in}")
    installed.stop()
    installed.boot()
    wait_for(installed, {"one"})
    assert last_report(installed, "restore")["guests"][0]["outcome"] == "started"
    installed.wait_until_up("one")
    installed.stop()
    began, ended = unit_time(installed.journal())
    assert ended - began < PROMPT
    assert find(installed.journal(), "^one: stopped")


def test_an_upgrade_of_the_program_under_the_unit_stops_no_guest(installed: Host) -> None:
    installed.guests(one="slow=1")
    installed.run("sed -i 's/^Description=Last call.*/Description=Older/' /etc/systemd/system/lastcall.service")
    installed.run("systemctl daemon-reload")
    checked = installed.tries("lastcall check").stdout
    assert "is not what this version of lastcall would install" in checked
    installed.run("lastcall install")
    assert installed.running() == {"one"}
    assert "nothing wrong found" in installed.run("lastcall check")
    installed.stop()
    assert installed.cut_off("one") == {}


def test_a_broken_configuration_is_told_and_the_host_stop_goes_on(installed: Host) -> None:
    configure(installed, "guests: [{match: one, stop: [acpi]}]\n")
    installed.guests(one="slow=1")
    assert installed.tries("lastcall plan").returncode == 0
    configure(installed, "guests: [{match: one, stopp: [acpi]}]\n")
    installed.stop()
    assert installed.cut_off("one") == {}
    installed.boot()
    configure(installed, "shutdown: {deadline: none}\n")
    run = last_report(installed, "shutdown")["run"]
    assert run["config"] == "last_good"
    assert "shutdown.deadline: none is good for runs by hand only" in installed.tries("lastcall check").stdout
    wait_for(installed, {"one"})
    installed.wait_until_up("one")
    installed.stop()
    assert installed.cut_off("one") == {}, "no deadline is no reason to lose a guest"


def test_a_guest_whose_disk_is_mounted_long_after_the_boot_comes_back_with_it(installed: Host) -> None:
    configure(installed, "restore: {deadline: 20s}\n")
    installed.guests(late="slow=0", other="slow=0")
    installed.run("mkdir -p /srv/far && truncate -s 1M /srv/far/disk.img")
    installed.run("virsh -q attach-disk late /srv/far/disk.img vdb --config")
    installed.run("mv /srv/far /srv/away")
    installed.stop()
    installed.boot()

    def is_told() -> bool:
        told = "waits for /srv/far/disk.img; restored when that is there" in installed.tries("lastcall status").stdout
        return told and installed.tries("systemctl is-active lastcall-again.timer").stdout.strip() == "active"

    installed.wait_until(is_told, "status says what the guest waits for, and a timer is set")
    assert installed.running() == {"other"}
    installed.tries("systemctl start lastcall-restore.service")
    assert len(list_of_restores(installed)) == 1, "what only looks is no run"
    installed.run("mv /srv/away /srv/far")
    wait_for(installed, {"late", "other"})  # by the timer
    installed.wait_until(lambda: "no guest waits" in installed.tries("lastcall status").stdout, "nobody waits")


def test_where_the_power_is_cut_while_guests_come_back_all_of_them_come_back_after_the_next_boot(
    installed: Host,
) -> None:
    configure(installed, "restore: {parallel: 1, delay: 15s}\n")
    installed.guests(one="slow=0", two="slow=0")
    installed.stop()
    installed.power_on()
    state = installed.upper / "var/lib/lastcall/state.json"
    installed.wait_until(lambda: json.loads(state.read_text())["returned"], "one of them is back")
    assert len(installed.running()) == 1
    installed.pull_the_plug()
    installed.boot()
    wait_for(installed, {"one", "two"})
    installed.wait_until(lambda: "no guest waits" in installed.tries("lastcall status").stdout, "nobody waits")


def list_of_restores(host: Host) -> list[str]:
    runs = json.loads(host.tries("lastcall report --json").stdout)["runs"]
    return [run["run"]["id"] for run in runs if run["run"]["kind"] == "restore"]
