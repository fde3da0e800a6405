"""Guests of a user's session beside those of the system: what runs by hand and a host stop do for them."""

import json
from pathlib import Path

from host.test_poweroff import configure, find, last_report
from lab.booted import linux_xml
from lab.host import Host

URI = "qemu+unix:///session?socket=/run/user/1000/libvirt/libvirt-sock"
# As somebody who has logged in: pam_systemd has logind make a session, whose scope holds all that she starts. For a
# virtlogd of hers systemd would wait for 90 s when the session ends.
LOG_IN = """\
useradd --create-home --shell /bin/bash alice
install -d -o alice /var/log/guests/alice /home/alice/.config /home/alice/.config/libvirt
echo 'stdio_handler = "file"' > /home/alice/.config/libvirt/qemu.conf
systemd-run --quiet --property=PAMName=login --property=User=alice --property=Environment=HOME=/home/alice \\
    libvirtd --timeout=600
"""


def log_in_with_a_guest(host: Host, name: str, switches: str) -> None:
    """Have a guest of virt-manager's "user session" that is up."""
    host.run(LOG_IN)
    host.wait_until(lambda: host.tries(f"virsh -c '{URI}' version").returncode == 0, "the session's libvirt answers")
    log = Path(f"/var/log/guests/alice/{name}.log")
    xml = linux_xml(name, switches, folder=Path("/lab"), log=log, agent=False)
    host.run(f"virsh -q -c '{URI}' define /dev/stdin && virsh -q -c '{URI}' start {name}", given=xml)
    host.wait_until(lambda: "guest is up" in host.serial(f"alice/{name}"), f"{name} is up")


def test_a_guest_of_a_session_is_asked_by_hand_and_check_and_plan_say_that_a_host_stop_leaves_it_alone(
    installed: Host,
) -> None:
    configure(installed, f"connections: [qemu:///system, '{URI}']\n")
    installed.run("systemctl -q disable --now libvirt-guests")
    installed.guests(one="slow=1")
    log_in_with_a_guest(installed, "hers", "slow=1")
    (scope,) = find_scope(installed)
    assert "session-" in scope, "as a session of systemd holds it"

    # Who looks is told, and so is who plans a host stop; by hand it is a guest like others.
    for words in ("check", "plan --reason poweroff"):
        told = installed.run(f"lastcall {words} --json")
        (problem,) = [one for one in json.loads(told)["problems"] if one["what"] == "session"]
        assert (problem["where"], problem["severity"]) == (URI, "warning")
        assert "runs by hand only" in problem["message"]
    assert "by hand only" not in installed.run("lastcall plan --manual")
    installed.run("lastcall shutdown hers --yes")
    assert "Power down" in installed.serial("alice/hers")
    installed.run("lastcall restore hers")
    listed = installed.run(f"virsh -q -c '{URI}' list --name")
    assert listed.split() == ["hers"]

    # It holds up no poweroff, and the others are asked as ever.
    installed.stop()
    assert installed.cut_off("one") == {}
    journal = installed.journal()
    assert find(journal, "serves runs by hand only")
    assert not find(journal, "was tried until the last resort")
    installed.boot()
    stopped = last_report(installed, "shutdown")
    assert (stopped["run"]["reason"], stopped["run"]["exit_code"]) == ("poweroff", 0)
    assert [guest["name"] for guest in stopped["guests"]] == ["one"]
    assert stopped["run"]["duration"] < 60, "a tenth of the deadline"
    installed.wait_until(lambda: last_report(installed, "restore")["complete"], "the restore is over")
    restored = last_report(installed, "restore")
    assert restored["run"]["exit_code"] == 0
    assert [guest["name"] for guest in restored["guests"]] == ["one"]
    assert installed.running() == {"one"}


def find_scope(host: Host) -> list[str]:
    """The control group of each QEMU that runs as the user."""
    return host.run("for one in $(pgrep -u alice qemu); do tail -n 1 /proc/$one/cgroup; done").split()
