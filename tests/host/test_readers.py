"""Users who are not root, on a host that has been installed: a group may read, and a check runs every hour."""

from typing import TYPE_CHECKING

from lab.host import Host

if TYPE_CHECKING:
    import subprocess

STATUS, REPORT = "lastcall status", "lastcall report"


def as_ada(host: Host, command: str) -> "subprocess.CompletedProcess[str]":
    """By a login of her own, with the groups that she has now."""
    return host.tries(f"su -l ada -c 'PATH=$PATH:/usr/local/bin:/opt/lastcall/bin {command}'")


def test_members_of_a_group_read_status_and_reports_from_boot_to_boot(installed: Host) -> None:
    host = installed
    host.guests(one="slow=1")
    host.run("virsh -q start one; useradd -m -s /bin/bash ada")
    host.wait_until_up("one")
    host.run("lastcall install --group libvirt --check-timer")
    refused = as_ada(host, STATUS)
    assert refused.returncode == 4, refused.stderr
    assert "as a member of the group libvirt: `usermod -aG libvirt USER`" in refused.stderr
    host.run("usermod -aG libvirt ada; lastcall install")  # again, without the option
    assert as_ada(host, STATUS).stdout.startswith("on duty")
    host.stop()
    host.boot()
    host.wait_until(lambda: host.running() == {"one"}, "the guest is back")
    assert as_ada(host, STATUS).returncode == 0
    told = as_ada(host, REPORT)
    assert told.returncode == 0, told.stderr
    assert "shutdown (poweroff)" in told.stdout
    host.run("lastcall announce --reason power --deadline 90s")
    assert "the next host stop is for power" in as_ada(host, STATUS).stdout
    assert as_ada(host, "lastcall report --ack").returncode == 4
    assert host.run("stat -c %a:%G /var/lib/lastcall /run/lastcall").split() == ["2750:libvirt", "2755:libvirt"]
    assert as_ada(host, "cat /var/lib/lastcall/last-good.json").returncode == 1
    # The timer is that of every hour, and what it starts looks at the host.
    assert host.run("systemctl is-enabled lastcall-check.timer").strip() == "enabled"
    assert host.run("systemctl is-active lastcall-check.timer").strip() == "active"
    host.run("systemctl start lastcall-check.service")
    assert host.run("systemctl show -P Result lastcall-check.service").strip() == "success"
    assert host.tries("systemd-analyze verify lastcall-check.timer lastcall-check.service").stderr == ""
    host.run("lastcall uninstall")
    assert host.run("stat -c %a:%G /var/lib/lastcall").split() == ["700:root"]
    assert as_ada(host, REPORT).returncode == 4
    assert host.tries("systemctl is-enabled lastcall-check.timer").stdout.strip() != "enabled"
