"""On a host that has been installed: what its timers do, and what users may read who are not root."""

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.host import Host, host
from support import unit_blocks

if TYPE_CHECKING:
    import subprocess

STATUS, REPORT = "lastcall status", "lastcall report"


def as_ada(host: Host, command: str) -> "subprocess.CompletedProcess[str]":
    """By a login of her own, with the groups that she has now."""
    return host.tries(f"su -l ada -c 'PATH=$PATH:/usr/local/bin:/opt/lastcall/bin {command}'")


@pytest.fixture(scope="module")
def duty(image: Path) -> Generator[Host]:
    """A host that is on duty for a guest, for all tests of this file in their order: a boot is what takes time here."""
    with host(image) as made:
        made.boot()
        made.run("lastcall install; useradd -m -s /bin/bash ada")
        made.guests(one="slow=1", two="slow=1")
        yield made


def last_drill(duty: Host) -> str:
    """What `status` says of it."""
    lines = duty.run("lastcall status").splitlines()
    return next((line.removeprefix("last drill").strip() for line in lines if line.startswith("last drill")), "")


def test_the_timer_of_the_docs_has_marked_guests_go_and_come_back_and_status_says_when(duty: Host) -> None:
    units = unit_blocks("drill.md")
    assert [Path(path).name for path in units] == ["lastcall-drill.service", "lastcall-drill.timer"]
    for path, text in units.items():
        duty.run(f"cat > {path}", given=text)
    verified = duty.tries("systemd-analyze verify lastcall-drill.service lastcall-drill.timer")
    assert (verified.returncode, verified.stderr) == (0, "")
    # The next first Tuesday of a month is too long to wait for; all else is as the docs have it.
    soon = "/etc/systemd/system/lastcall-drill.timer.d"
    duty.run(f"mkdir {soon}; cat > {soon}/soon.conf", given="[Timer]\nOnCalendar=\nOnActiveSec=1s\nAccuracySec=100ms\n")
    duty.run("lastcall guest set one drill=true")
    assert last_drill(duty) == ""
    before = duty.run("virsh domid one; virsh domid two").split()
    duty.run("systemctl -q enable --now lastcall-drill.timer")
    duty.wait_until(
        lambda: last_drill(duty).endswith("1 guest: all went and came back as planned"), "the drill is over"
    )
    after = duty.run("virsh domid one; virsh domid two").split()
    assert (before[0] != after[0], before[1] == after[1]) == (True, True), "the marked one alone has gone"
    assert duty.running() == {"one", "two"}
    when = last_drill(duty).partition(",")[0]
    assert when in duty.run("date +'%F %R'; date -d '1 minute ago' +'%F %R'").splitlines()
    listed = duty.run("lastcall runs --reason drill").splitlines()
    assert len(listed) == 2
    assert all("as planned" in line for line in listed)
    duty.wait_until(lambda: not duty.run("systemctl list-jobs --no-legend").strip(), "the service is over")
    assert duty.run("systemctl show -P Result lastcall-drill.service").strip() == "success"
    duty.run("systemctl -q disable --now lastcall-drill.timer")  # by its drop-in each boot would begin with a drill


def test_members_of_a_group_read_status_and_reports_from_boot_to_boot(duty: Host) -> None:
    host = duty
    host.run("virsh -q destroy two")
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
    host.wait_until(lambda: "no guest waits" in as_ada(host, STATUS).stdout, "the restore is over")
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
