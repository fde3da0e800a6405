"""Installing, taking over from what is there, and giving back: not one guest stops."""

import re
from collections.abc import Callable

from host.test_poweroff import configure, find, last_report
from lab import replaced
from lab.host import PROJECT, Host, install_commands
from support import shell_blocks

DAEMONS = "libvirtd virtqemud virtlxcd virtnetworkd virtstoraged virtnodedevd virtsecretd virtlogd virtlockd virtproxyd"
STARTED_BEFORE = {f"{daemon}.{kind}" for daemon in DAEMONS.split() for kind in ("service", "socket")} | {
    "virt-guest-shutdown.target", "network.target", "network-online.target", "nss-lookup.target", "remote-fs.target",
    "iscsid.service", "multipathd.service", "firewalld.service", "systemd-machined.service",
}  # fmt: skip
"""Whatever a stop may need has to be stopped after it, which systemd does for what was started before it."""


def test_the_readmes_commands_lead_to_an_enabled_unit_and_a_passing_check(make_host: Callable[[], Host]) -> None:
    """The image was made by those before `lastcall install`, as they stand there."""
    host = make_host()
    host.boot()
    before, after = install_commands()
    assert before[0].startswith("apt-get install")
    said = [host.run(command) for command in after]
    assert "nothing wrong found" in said[-1]
    assert host.run("systemctl is-enabled lastcall.service lastcall-restore.service").split() == ["enabled"] * 2
    assert host.run("systemctl is-active lastcall.service graceful-shutdown.service").split() == ["active"] * 2
    first = set(host.run("systemctl show -P After lastcall.service").split())
    assert STARTED_BEFORE - first == set()
    assert "pacemaker.service" in host.run("systemctl show -P Before lastcall.service")
    bound = host.run("systemctl show -p Requires -p BindsTo -p PartOf -p PropagatesStopTo lastcall.service")
    assert "virt" not in bound, "a daemon that stops must not stop guests"
    assert host.tries("systemd-analyze verify lastcall.service lastcall-restore.service").stderr == ""
    assert "complete -" in host.run("cat /usr/local/share/bash-completion/completions/lastcall")
    page = host.run("readlink -e /usr/local/share/man/man1/lastcall-plan.1").strip()
    assert page == "/opt/lastcall/share/man/man1/lastcall-plan.1"
    told = host.run(
        "_LASTCALL_LINE='lastcall shut' _LASTCALL_COMPLETE=bash lastcall complete | tr '\\0' ' '", check=False
    )
    assert "shutdown" in told
    again = host.run("lastcall install")
    assert "on duty" in again


def test_it_takes_over_from_libvirt_guests_and_gives_back_without_stopping_a_guest(
    make_host: Callable[[], Host],
) -> None:
    host = make_host()
    host.boot()
    host.run("cat > /etc/default/libvirt-guests", given=replaced.SETTINGS)
    host.guests(one="slow=1", two="slow=1")
    host.run("systemctl restart libvirt-guests.service", check=False)  # on duty with these settings
    for name in ("one", "two"):
        host.run(f"virsh -q start {name}", check=False)
        host.wait_until_up(name)
    checked = host.tries("lastcall check")
    assert "rival libvirt-guests.service" in checked.stdout
    # What its last stop has left: two runs already, three was running and is off.
    host.guests(three="slow=1")
    host.run("virsh -q destroy three; echo default $(virsh domuuid one) $(virsh domuuid three) > "
             "/var/lib/libvirt/libvirt-guests; touch -d '1 hour ago' /var/lib/libvirt/libvirt-guests")  # fmt: skip
    planned = host.run("lastcall install --dry-run")
    assert "would take 2 guests over" in planned
    assert host.tries("ls /etc/lastcall").returncode != 0, "a dry run does nothing"
    done = host.run("lastcall install")
    assert planned.replace("would ", "") in done
    assert {"one", "two"} <= host.running()
    host.wait_until(
        lambda: host.tries("systemctl is-active lastcall-restore").stdout.strip() == "inactive", "the restore ends"
    )
    assert host.running() == {"one", "two", "three"}
    assert {guest["name"]: guest["outcome"] for guest in last_report(host, "restore")["guests"]} == {
        "one": "present", "three": "started",
    }  # fmt: skip
    settings = host.run("cat /etc/lastcall/config.yaml")
    assert "parallel: 10  # PARALLEL_SHUTDOWN=10" in settings
    assert host.run("systemctl show -P ExecStop libvirt-guests.service").strip() == ""
    assert "nothing wrong found" in host.run("lastcall check")
    # Whatever somebody does to libvirt-guests now is harmless.
    host.run("systemctl stop libvirt-guests.service; systemctl start libvirt-guests.service")
    assert host.running() == {"one", "two", "three"}
    host.wait_until_up("three")
    host.stop()
    assert host.cut_off("one", "two", "three") == {}
    host.boot()
    host.wait_until(lambda: host.running() == {"one", "two", "three"}, "all guests run")
    host.run("lastcall uninstall")
    assert host.run("find /usr/local/share/man -name 'lastcall*'") == ""
    assert host.running() == {"one", "two", "three"}
    assert host.run("systemctl show -P LoadState lastcall.service").strip() == "not-found"
    assert "libvirt-guests.sh stop" in host.run("systemctl show -P ExecStop libvirt-guests.service")
    assert host.tries("lastcall status").returncode == 3
    for name in ("one", "two", "three"):
        host.wait_until_up(name)
    host.stop()
    assert host.cut_off("one", "two", "three") == {}, "by libvirt-guests"
    assert not find(host.journal(), r"^shutdown \(")


def test_libvirt_guests_is_harmless_whatever_stands_beside_it_or_it_is_an_error(make_host: Callable[[], Host]) -> None:
    """An own copy of the unit, a drop-in that sorts after most, and one that sorts after ours."""
    host = make_host()
    host.boot()
    host.guests(one="slow=1")
    run = "virsh shutdown one"
    host.run("sed 's,^ExecStop=.*,&\\nExecStopPost=/bin/sh -c \"touch /ran; " + run + "\",' "
             "/lib/systemd/system/libvirt-guests.service > /etc/systemd/system/libvirt-guests.service; "
             "mkdir -p /etc/systemd/system/libvirt-guests.service.d; cd /etc/systemd/system/libvirt-guests.service.d; "
             f"printf '[Service]\nExecStop=/bin/sh -c \"touch /ran; {run}\"\n' > override.conf; "
             f"printf '[Service]\nExecStopPost=/bin/sh -c \"touch /ran; {run}\"\n' > zzz.conf; "
             "systemctl daemon-reload")  # fmt: skip
    refused = host.tries("lastcall install")
    assert refused.returncode == 1
    assert "override.conf as it is; it says ExecStop=/bin/sh" in refused.stdout
    assert "still runs ExecStopPost=/bin/sh" in refused.stderr
    assert "zzz.conf)" in refused.stderr
    checked = host.tries("lastcall check")
    assert checked.returncode == 1
    assert "✗ rival libvirt-guests.service: is not harmless" in checked.stdout
    assert host.run("systemctl is-active lastcall.service").strip() == "active", "on duty all the same"
    host.run("rm /etc/systemd/system/libvirt-guests.service.d/zzz.conf")
    assert "on duty" in host.run("lastcall install")
    assert "nothing wrong found" in host.run("lastcall check")
    host.run("systemctl stop libvirt-guests.service; systemctl start libvirt-guests.service; "
             "systemctl restart libvirt-guests.service")  # fmt: skip
    assert host.tries("ls /ran").returncode != 0
    assert host.running() == {"one"}
    host.run("lastcall uninstall")
    standing = host.run("systemctl show -P ExecStop -P ExecStopPost libvirt-guests.service")
    assert standing.count("touch /ran") == 2
    assert "libvirt-guests.sh stop" in standing
    assert host.run("ls /etc/systemd/system/libvirt-guests.service.d").split() == ["override.conf"]
    assert host.running() == {"one"}


def test_whoever_else_stops_guests_is_named_and_keeps_nobody_from_installing(make_host: Callable[[], Host]) -> None:
    """A template's instances, /etc/init.d, a timer, what is wanted by poweroff, and one that only looks."""
    host = make_host()
    host.boot()
    host.guests(one="slow=1")
    oneshot = "[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStart=/bin/true\\n"
    wanted = "[Install]\\nWantedBy="
    act = 'ExecStop=/bin/sh -c "touch /ran; virsh shutdown one"\\n'
    host.run(f"cd /etc/systemd/system; mkdir -p /usr/local/lib/systemd/system; "
             f"printf '{oneshot}{act}{wanted}multi-user.target\\n' > libvirt-vm@.service; "
             f"printf '{oneshot}ExecStop=/usr/bin/virsh list\\n{wanted}multi-user.target\\n' > looks.service; "
             "printf '[Service]\\nExecStart=/bin/sh -c \"virsh destroy one\"\\n' > night.service; "
             "printf '[Timer]\\nOnCalendar=2099-01-01\\n[Install]\\nWantedBy=timers.target\\n' > night.timer; "
             "printf '[Service]\\nExecStart=/bin/sh -c \"virsh save one /x\"\\n"
             "[Install]\\nWantedBy=poweroff.target\\n' > /usr/local/lib/systemd/system/last.service; "
             "cd /etc/init.d; printf '#!/bin/sh\\n### BEGIN INIT INFO\\n# Provides: old\\n# Required-Start:\\n"
             "# Required-Stop:\\n# Default-Start: 3\\n# Default-Stop: 0\\n### END INIT INFO\\n"
             "case $1 in stop) touch /ran; virsh shutdown one;; esac\\n' > old; chmod 755 old; "
             "ln -s ../init.d/old /etc/rc3.d/S01old; systemctl daemon-reload; "
             "systemctl -q enable --now libvirt-vm@one libvirt-vm@two looks night.timer; systemctl -q enable last; "
             "systemctl start old")  # fmt: skip
    named = {"libvirt-vm@.service", "night.service", "last.service", "old.service"}
    done = host.tries("lastcall install")
    assert done.returncode == 0, done.stderr
    assert "on duty" in done.stdout
    assert set(re.findall(r"^! (\S+):", done.stderr, re.MULTILINE)) == named
    checked = host.tries("lastcall check")
    assert checked.returncode == 0, "warnings"
    assert set(re.findall(r"^! rival (\S+):", checked.stdout, re.MULTILINE)) == named
    host.run("lastcall install --replace libvirt-vm@.service")
    for remedy in ("mask old.service", "mask last.service", "disable --now night.timer"):
        assert f"systemctl {remedy}" in done.stderr
        host.run(f"systemctl -q {remedy}")
    assert "nothing wrong found" in host.run("lastcall check")
    assert host.running() == {"one"}
    host.stop()
    assert host.cut_off("one") == {}
    assert not (host.upper / "ran").exists(), "nobody else stopped it, neither then nor before"


def test_a_hand_written_unit_is_named_and_set_aside_only_when_asked_and_never_run(
    make_host: Callable[[], Host],
) -> None:
    host = make_host()
    host.boot()
    replaced.set_up(host, libvirt_guests=False)
    host.guests(one="slow=1")
    beside = host.tries("lastcall install")
    assert beside.returncode == 0
    assert "graceful-shutdown.service: ExecStop runs `virsh shutdown` by /usr/local/bin/stopvm.sh" in beside.stderr
    assert "lastcall install --replace graceful-shutdown.service" in beside.stderr
    assert host.run("systemctl is-active lastcall.service").strip() == "active"
    checked = host.tries("lastcall check")
    assert checked.returncode == 0
    assert "! rival graceful-shutdown.service" in checked.stdout
    assert "would install" not in checked.stdout, "without the name that is taken, the unit is as it should be"
    assert host.run("systemctl show -P Id graceful-shutdown.service").strip() == "graceful-shutdown.service"
    # Its drop-ins go with it: by that name they would become lastcall's own.
    host.run("mkdir /etc/systemd/system/graceful-shutdown.service.d; printf '[Service]\nExecStop=/bin/touch /ran\n' "
             "> /etc/systemd/system/graceful-shutdown.service.d/more.conf; systemctl daemon-reload")  # fmt: skip
    for command in shell_blocks("migrate.md")[0]:  # as the docs tell it; the script goes on as a hook
        host.run(command)
    assert host.running() == {"one"}
    assert "nothing wrong found" in host.run("lastcall check")
    assert host.run("systemctl show -P Id graceful-shutdown.service").strip() == "lastcall.service"
    # It stops whoever runs, and is for host stops: by hand, and in a rehearsal, everybody else goes on.
    host.guests(two="slow=1")
    assert "(not run: meant for host stops)" in host.run("lastcall plan two")
    assert "not run: meant for host stops" in host.run("lastcall shutdown two")
    assert "not run in a rehearsal" in host.run("lastcall hook pre_shutdown --reason poweroff")
    assert host.running() == {"one"}
    host.stop()
    assert host.cut_off("one") == {}
    assert not find(host.journal(), "Stopping graceful-shutdown")
    assert not (host.upper / "ran").exists()
    host.boot()
    assert [hook["result"] for hook in last_report(host, "shutdown")["hooks"]] == ["ok"]
    for command in shell_blocks("install.md")[-1]:
        host.run(command)
    assert "stopvm.sh" in host.run("cat /etc/systemd/system/graceful-shutdown.service")
    assert "touch /ran" in host.run("cat /etc/systemd/system/graceful-shutdown.service.d/more.conf")


def test_it_works_from_usr_too_and_raises_systemds_limit_above_a_long_deadline(make_host: Callable[[], Host]) -> None:
    host = make_host()
    host.boot()
    host.run("echo /opt/lastcall/lib/python3.*/site-packages > /usr/lib/python3/dist-packages/lastcall.pth; "
             "sed '1s,.*,#!/usr/bin/python3,' /opt/lastcall/bin/lastcall > /usr/bin/lastcall; "
             "chmod 755 /usr/bin/lastcall; rm /usr/local/bin/lastcall; mkdir /etc/lastcall")  # fmt: skip
    configure(host, "shutdown: {by_reason: {reboot: {deadline: 1h}}}\n")
    assert "systemd forces the host off after 30min" in host.tries("/usr/bin/lastcall check").stdout
    host.run("/usr/bin/lastcall install")
    assert "/usr/bin/lastcall" in host.run("systemctl show -P ExecStop lastcall.service")
    assert host.run("systemctl show -P JobTimeoutUSec poweroff.target").strip() == "1h 5min"
    assert "nothing wrong found" in host.run("/usr/bin/lastcall check")
    host.guests(one="slow=1")
    host.stop()
    assert host.cut_off("one") == {}


def test_the_hardened_drop_in_works_and_is_worth_its_figure(installed: Host) -> None:
    """The figure that the docs give is the one that systemd gives."""
    plain = exposure(installed)
    hardened = (PROJECT / "contrib/systemd/hardening.conf").read_text()
    installed.run("mkdir -p /etc/systemd/system/lastcall.service.d")
    installed.run("cat > /etc/systemd/system/lastcall.service.d/hardening.conf", given=hardened)
    installed.run("systemctl daemon-reload")
    figure = exposure(installed)
    told = (PROJECT / "docs/install.md").read_text()
    assert f"{plain} to {figure}" in told
    installed.guests(one="slow=1")
    installed.stop()
    assert installed.cut_off("one") == {}
    assert find(installed.journal(), r"^shutdown is over .*: as planned")


def exposure(host: Host) -> str:
    text = host.tries("systemd-analyze security --no-pager lastcall.service").stdout
    found = re.search(r"Overall exposure level for lastcall\.service: ([\d.]+)", text)
    assert found, text
    return found[1]


def test_what_it_cannot_keep_of_libvirt_guests_settings_it_says_and_goes_on_duty_all_the_same(
    make_host: Callable[[], Host],
) -> None:
    host = make_host()
    host.boot()
    odd = "ON_SHUTDOWN=shutdown\nif [ -e /etc/debian_version ]; then\n  ON_BOOT=start\nfi\nSHUTDOWN_TIMEOUT=120\r\n"
    host.run("cat > /etc/default/libvirt-guests", given=odd)
    host.run("systemctl enable libvirt-guests.service; systemctl restart libvirt-guests.service", check=False)
    expected = [
        "/etc/default/libvirt-guests:2: not taken over: if [ -e /etc/debian_version ]; then is no assignment",
        "/etc/default/libvirt-guests:3: not taken over: ON_BOOT is set where a shell would have to find out",
        "/etc/default/libvirt-guests:5: not taken over: SHUTDOWN_TIMEOUT: it ends in a carriage return",
    ]
    for command in ("lastcall config import", "lastcall install --dry-run", "lastcall install"):
        said = host.tries(command)
        assert said.returncode == 1, command
        assert [line for line in expected if line not in said.stderr] == [], command
        assert "`shutdown: {parallel: 0}` stops them at once" in said.stdout, command
    assert host.run("systemctl is-active lastcall.service").strip() == "active"
    again = host.tries("lastcall install")
    assert (again.returncode, again.stderr) == (0, ""), "said once: now there is a configuration"
