"""The guest agent of real guests: fast where it works, and no hindrance where it does not."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.agent import AgentDoor
from lab.daemon import Daemon
from lab.guests import driver_guests, linux_guests
from support import records, report_of, run_lastcall, write_config

TWELVE = {f"twelve-{number:02}": "slow=5" for number in range(12)}


def test_twelve_guests_that_need_five_seconds_are_asked_at_once_by_their_agents(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu, more="defaults: {stop: [agent]}")
    with linux_guests(lab, **TWELVE) as guests:
        for name in TWELVE:
            AgentDoor(lab, name).wait()
        report = report_of(run_lastcall(config, "shutdown", "--json"))
        assert {(guest["outcome"], guest["method"]) for guest in report["guests"]} == {("stopped", "agent")}
        asked = [record["at"] for record in records(tmp_path, report, "GuestAsked")]
        off = [record["at"] for record in records(tmp_path, report, "GuestWentOff")]
        assert max(asked) < min(off), "the last is asked before the first is off"
        assert report["run"]["duration"] < 2 * max(guest["duration"] for guest in report["guests"])
        assert all(guest.went_down_cleanly for guest in guests.values())


def test_agents_that_are_stopped_frozen_or_gone_cost_their_time_box_and_acpi_stops_the_guest(
    lab: Daemon, tmp_path: Path
) -> None:
    config = write_config(tmp_path, lab.qemu)
    with linux_guests(lab, frozen="slow=0", gone="agent=0", healthy="slow=0"):
        AgentDoor(lab, "healthy").wait()
        frozen = AgentDoor(lab, "frozen").wait()
        frozen.sh("(sleep 1; kill -STOP $(pidof qemu-ga); echo frozen > /dev/console) > /dev/null 2>&1 &")
        frozen.wait_until(lambda: "frozen" in frozen.console(), "its agent is stopped")
        checked = run_lastcall(config, "check").stdout
        assert "agent frozen: the guest agent is connected and does not answer" in checked
        assert "agent gone: it has a channel for a guest agent, and no agent is connected to it" in checked
        assert "agent healthy" not in checked
        report = report_of(run_lastcall(config, "shutdown", "--json"))
        found = {guest["name"]: guest for guest in report["guests"]}
        assert {name: guest["method"] for name, guest in found.items()} == {
            "frozen": "acpi", "gone": "acpi", "healthy": "agent",
        }, json.dumps(found["healthy"])  # fmt: skip
        first, gone = found["frozen"]["attempts"][0], found["gone"]["attempts"][0]
        assert (first["method"], first["result"]) == ("agent", "failed"), "by its time box, not by that of its rung"
        assert (gone["result"], gone["message"]) == ("skipped", "the guest agent is not connected")


@pytest.fixture(scope="module")
def guest(lab: Daemon) -> Iterator[AgentDoor]:
    with linux_guests(lab, **{"inner guest": "slow=0", "mute": "exec=0"}):
        AgentDoor(lab, "mute").wait()
        yield AgentDoor(lab, "inner guest").wait()


def commands(tmp_path: Path, lab: Daemon, *given: Any, match: str = "inner guest", shell: str = "agent") -> Any:
    """Fire on_guest_stop with these commands; returns (exit code, the call of `commands`, the lines of progress)."""
    told: list[dict[str, Any]] = [
        {"rehearse": True, **({"run": one} if isinstance(one, str) else one)} for one in given
    ]
    rule = {"match": match, "shell": shell, "commands": told}
    config = write_config(tmp_path, lab.qemu, more=f"hooks: {{timeout: 10min}}\nguests: [{json.dumps(rule)}]")
    done = run_lastcall(config, "-v", "hook", "on_guest_stop", "--guest", match, "--json")
    (call,) = json.loads(done.stdout)["fired"][0]["calls"]
    said = [line.split("commands: ", 1)[1] for line in done.stderr.splitlines() if "commands: " in line]
    return done.returncode, call, said


def test_commands_arrive_as_they_are_and_their_output_stands_in_the_log_line_by_line(
    guest: AgentDoor, lab: Daemon, tmp_path: Path
) -> None:
    nasty = ["printf", "%s\\n", "a  b", "$(touch /no)", "`id`", "'\"\\", "ümläut ☃", "*", ";x&"]
    code, call, said = commands(
        tmp_path, lab, {"run": nasty}, "echo one; echo two >&2", "x='a  b'; echo \"$x\" | wc -c"
    )
    assert (code, call["result"]) == (0, "ok"), call
    assert said == [*nasty[2:], "one", "two", "5"]
    assert [one["exit_code"] for one in call["evidence"]["commands"]] == [0, 0, 0]
    assert guest.sh("test -e /no && echo there || echo absent") == "absent\n"


def test_failures_count_as_the_command_says(guest: AgentDoor, lab: Daemon, tmp_path: Path) -> None:
    code, call, said = commands(
        tmp_path, lab,
        {"run": "echo first; exit 3", "ok_codes": [0, 3]},
        {"run": "echo second >&2; exit 4"},
        {"run": "exit 5", "on_failure": "ignore"},
        {"run": "echo third; exit 6", "on_failure": "stop"},
        "echo never",
    )  # fmt: skip
    assert (code, call["result"], said) == (1, "failed", ["first", "second", "third"])
    assert call["message"] == "echo second >&2; exit 4: exit code 4: second; echo third; exit 6: exit code 6: third"


def test_a_command_has_its_time_and_its_user_and_is_killed_with_what_it_started(
    guest: AgentDoor, lab: Daemon, tmp_path: Path
) -> None:
    guest.sh("echo root:x:0:0::/:/bin/sh > /etc/passwd; echo worker:x:7:7::/tmp:/bin/sh >> /etc/passwd")
    code, call, said = commands(
        tmp_path, lab, {"run": "id -u; echo $HOME", "user": "worker"}, {"run": "true", "user": "nobody-at-all"},
        {"run": "trap '' TERM; sleep 4716 & sleep 4716", "timeout": "2s"},
    )  # fmt: skip
    assert code == 1
    assert said[:2] == [guest.sh("id -u worker").strip(), "/tmp"]
    assert "there is no user nobody-at-all in the guest" in call["message"]
    assert "did not end within 2 s" in call["message"]
    guest.wait_until(lambda: "4716" not in guest.sh("ps | grep [s]leep || :"), "it does not live on")


def test_output_is_bounded_inside_the_guest(guest: AgentDoor, lab: Daemon, tmp_path: Path) -> None:
    code, call, said = commands(tmp_path, lab, "yes out | head -c 20000000; yes err | head -c 20000000 >&2")
    assert (code, call["result"]) == (0, "ok")
    assert said[-1].startswith("… cut: ")
    assert sum(len(line) + 1 for line in said) < 600_000
    assert guest.agent("guest-ping") == {}, "the channel is as good as before"


def test_an_agent_that_may_run_nothing_is_told_from_one_that_is_not_there(
    guest: AgentDoor, lab: Daemon, tmp_path: Path
) -> None:
    code, call, _ = commands(tmp_path, lab, "true", match="mute")
    assert code == 1
    assert "the guest agent does not allow guest-exec and guest-exec-status → allow it in the guest" in call["message"]
    more = (
        'defaults: {shell: agent}\nguests: [{match: mute, shell: [agent, ssh], ssh: {address: "127.0.0.1", port: 1}}]'
    )
    done = run_lastcall(write_config(tmp_path, lab.qemu, more=more), "check", "--guests")
    assert re.search("✓ inner guest: +agent as root", done.stdout)
    assert "shell mute by agent: agent: the guest agent does not allow guest-exec" in done.stdout
    assert "shell mute by ssh: ssh: 127.0.0.1:1: connection refused" in done.stdout


def test_a_rehearsal_runs_no_command_that_does_not_ask_for_it(guest: AgentDoor, lab: Daemon, tmp_path: Path) -> None:
    code, call, said = commands(tmp_path, lab, {"run": "touch /rehearsed", "rehearse": False})
    assert (code, call["result"]) == (0, "ok")
    assert said == ["touch /rehearsed: not run in a rehearsal; only the login is tried"]
    assert guest.sh("test -e /rehearsed && echo there || echo absent") == "absent\n"


def test_what_nobody_configured_costs_nothing(guest: AgentDoor, lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.test)
    with driver_guests(lab, ["plain"]):
        done = run_lastcall(config, "hook", "on_guest_stop", "--guest", "plain", "--json")
        assert json.loads(done.stdout)["fired"][0]["calls"] == []
        done = run_lastcall(config, "shutdown", env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert "lastcall_plugins.ssh" in done.stderr
    assert "paramiko" not in done.stderr
    assert "cryptography" not in done.stderr


def behind(door: AgentDoor) -> tuple[float, float]:
    """How many seconds a guest's clock is behind, at least and at most: it takes a while to look at it."""
    began = time.time()
    seen = int(door.sh("date +%s"))
    return began - seen - 1, time.time() - seen


@pytest.mark.parametrize(("sync", "lag"), [("resumed", False), ("never", True)])
def test_the_clock_of_a_guest_that_was_saved_is_set_as_configured(
    lab: Daemon, tmp_path: Path, sync: str, *, lag: bool
) -> None:
    config = write_config(tmp_path, lab.qemu, more=f"defaults: {{stop: [save]}}\nrestore: {{sync_time: {sync}}}")
    with linux_guests(lab, sleeper="slow=0"):
        door = AgentDoor(lab, "sleeper").wait()
        _, before = behind(door)
        assert run_lastcall(config, "shutdown").returncode == 0
        time.sleep(8)
        done = run_lastcall(config, "restore", "--json")
        assert report_of(done)["guests"][0]["outcome"] == "resumed", done.stderr
        least, most = (seconds - before for seconds in behind(door))
        assert most > 6 if lag else least < 6, f"{least} to {most} s behind"
