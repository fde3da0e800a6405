"""A drill with real guests: who hears the power button goes and comes back, who does not is left running."""

import json
from pathlib import Path

from lab.agent import AgentDoor
from lab.daemon import Daemon
from lab.debian_guests import debian_guest
from lab.guests import linux_guests, opened, states
from support import run_lastcall, waiting_guests, write_config


def test_a_guest_that_hears_goes_and_comes_back_and_a_deaf_one_runs_on_unforced(lab: Daemon, tmp_path: Path) -> None:
    ladder = "defaults: {drill: true, stop: [{acpi: {timeout: 12s}}, destroy], last_resort: destroy}"
    config = write_config(tmp_path, lab.qemu, more=ladder)
    with linux_guests(lab, deaf="deaf=1", hears="slow=1") as guests:
        process = lab.qemu_of("deaf")
        done = run_lastcall(config, "drill", "--json")
        told = {guest["name"]: guest for guest in json.loads(done.stdout)["guests"]}
        assert done.returncode == 1, done.stderr
        assert (told["hears"]["went"], told["hears"]["came"]) == ("stopped", "started")
        assert 1.0 <= told["hears"]["took"] < 12.0
        assert (told["deaf"]["went"], told["deaf"]["came"], told["deaf"]["took"]) == ("left", None, None)
        with opened(lab.qemu) as connection:
            assert set(states(connection).values()) == {"running"}
        assert lab.qemu_of("deaf") == process, "the same QEMU as before"
        guests["hears"].wait_until_up()
        assert waiting_guests(tmp_path / "state") == ["deaf"], "asked, and perhaps off later"
        assert "2 guests: deaf left" in run_lastcall(config, "status").stdout
        document = json.loads(run_lastcall(config, "drill", "hears", "--json").stdout)
        assert (document["unknown"], document["power_cut"]["usual"] >= 1.0) == (["deaf"], True)


def busy_by_check(config: Path) -> dict[str, str]:
    problems = json.loads(run_lastcall(config, "check", "--json").stdout)["problems"]
    assert not [one for one in problems if one["what"] == "plugin"], problems
    return {one["where"]: one["message"] for one in problems if one["what"] == "busy"}


def test_an_update_in_a_guest_is_seen_through_its_agent_and_keeps_a_drill_away(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu)
    with linux_guests(lab, updates="slow=0", idle="slow=0", mute="exec=0", without="agent=0"):
        for name in ("updates", "idle", "mute"):
            AgentDoor(lab, name).wait()
        door = AgentDoor(lab, "updates")
        door.sh("printf '#!/bin/sh\\nsleep 1000\\n' > /dnf; chmod +x /dnf; /dnf > /dev/null 2>&1 < /dev/null &")
        door.wait_until(lambda: "dnf" in door.sh("cat /proc/[0-9]*/comm"), "it runs")
        assert busy_by_check(config) == {"updates": "an update or an installation is under way (dnf)"}
        done = run_lastcall(config, "drill", "updates", "idle", "--json")
        told = {guest["name"]: guest for guest in json.loads(done.stdout)["guests"]}
        assert (told["updates"]["went"], told["idle"]["came"]) == (None, "started")
        door.sh("kill $(pidof dnf) || killall dnf")
        door.wait_until(lambda: "dnf" not in door.sh("cat /proc/[0-9]*/comm"), "it is over")
        assert busy_by_check(config) == {}


def test_what_blocks_a_shutdown_in_a_debian_guest_is_told_in_its_own_words(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu)
    with debian_guest(lab, "debian") as guest:
        assert busy_by_check(config) == {}
        for mode, what in (("block", "shutdown"), ("delay", "shutdown"), ("block", "sleep")):
            why = f"--who='a {mode} of {what}' --why='it \"writes\"'"
            guest.sh(f"systemd-run -q systemd-inhibit --mode={mode} --what={what} {why} sleep 1000")
        guest.wait_until(lambda: guest.sh("systemd-inhibit --list").count("writes") == 3, "all three are there")
        assert busy_by_check(config) == {"debian": 'a block of shutdown blocks its shutdown: it "writes"'}
        guest.sh("systemd-run -q flock /var/lib/dpkg/lock-frontend sleep 1000")
        guest.wait_until(lambda: "flock" in guest.sh("cat /proc/[0-9]*/comm"), "the lock is held")
        assert busy_by_check(config)["debian"].startswith("packages are being installed (/var/lib/dpkg/lock-frontend ")
