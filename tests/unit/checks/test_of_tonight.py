"""What `check` knows of tonight by what was: late guests, runs that nobody has seen, drills, agents, host keys."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lastcall import HypervisorError, Problem, Severity
from lastcall.checks.times.never_in_time import never_in_time
from lastcall.checks.unseen_runs import unseen_runs
from lastcall.report.unseen import SeenRuns
from lastcall.testing import Lab
from lastcall.testing.memory import FakeGuest, run_shutdown

ACPI = frozenset({"acpi", "shutdown"})
CHANNEL = "<domain><devices><channel><target name='org.qemu.guest_agent.0'/></channel></devices></domain>"


def late(folder: Path, *guests: FakeGuest) -> dict[str, str]:
    return {one.where: one.message for one in never_in_time(folder, [guest.guest for guest in guests])}


def stop(folder: Path, *guests: FakeGuest, config: str = "defaults: {stop: [acpi], timeout: 10s}", **more: Any) -> None:
    run_shutdown(folder, guests, config=config, **more)
    for guest in guests:
        guest.off_at = guest.ended = None
        guest.state = FakeGuest("fresh").state


def test_who_was_forced_off_or_left_whenever_it_was_asked_is_late_tonight_too(tmp_path: Path) -> None:
    deaf, fine, new = FakeGuest("deaf", deaf_to=ACPI), FakeGuest("fine"), FakeGuest("new")
    assert late(tmp_path, deaf, fine) == {}
    stop(tmp_path, deaf, fine)
    assert late(tmp_path, deaf, fine, new) == {
        "deaf": "did not go off by itself in the only run that asked it: left, after 9min30s"
    }
    stop(tmp_path, deaf, fine, config="defaults: {stop: [acpi], timeout: 15s, last_resort: destroy}", force=True)
    assert late(tmp_path, deaf, fine, new)["deaf"].startswith(
        "did not go off by itself in any of 2 runs that asked it: "
    )
    assert "forced, left" in late(tmp_path, deaf, fine, new)["deaf"]


def test_who_went_once_or_was_to_be_forced_off_or_was_not_asked_is_not_late(tmp_path: Path) -> None:
    deaf, forced = FakeGuest("deaf", deaf_to=ACPI), FakeGuest("forced")
    stop(tmp_path, deaf)
    deaf.deaf_to = frozenset()
    stop(tmp_path, deaf)
    stop(tmp_path, forced, config="defaults: {stop: [destroy]}")
    theirs = FakeGuest("theirs")
    stop(tmp_path, theirs, config="defaults: {manage: false}")
    assert late(tmp_path, deaf, forced, theirs) == {}


def test_logs_that_say_nothing_cost_nothing(tmp_path: Path) -> None:
    stop(tmp_path, FakeGuest("deaf", deaf_to=ACPI))
    (log,) = (tmp_path / "runs").glob("*.jsonl")
    log.write_text("no log")
    assert late(tmp_path, FakeGuest("deaf")) == {}


def test_a_run_that_left_a_guest_is_told_until_it_is_seen(tmp_path: Path) -> None:
    stop(tmp_path, FakeGuest("deaf", deaf_to=ACPI))
    (found,) = unseen_runs(tmp_path)
    assert (found.what, found.severity) == ("run", Severity.WARNING)
    assert "1 left (deaf)" in found.message
    assert "lastcall report --ack" in found.remedy
    SeenRuns(tmp_path).acknowledge("somebody")
    assert list(unseen_runs(tmp_path)) == []


def found(folder: Path, what: str, rule: Mapping[str, Any], **guest: Any) -> list[Problem]:
    lab = Lab(folder, plugins={})
    answers = guest.pop("answers", None)
    there = lab.guest("g", settings=rule, shell="shell" in rule, **guest)
    if answers:
        there.agent_answers(answers)
    return [one for one in lab.check() if one.what == what]


@pytest.mark.parametrize(
    ("rule", "guest", "told"),
    [
        ({}, {"xml": CHANNEL}, "no agent is connected to it"),
        ({"shell": ["agent"], "stop": ["acpi"]}, {"xml": CHANNEL}, "no agent is connected to it"),
        ({"stop": ["agent"]}, {}, "has no channel for one"),
        ({"stop": [{"agent": {"timeout": "5s"}}]}, {}, "has no channel for one"),
        ({"stop": ["acpi"], "shell": "agent"}, {}, "has no channel for one"),
        ({}, {"answers": {"guest-ping": HypervisorError("silence")}}, "does not answer: silence"),
        ({}, {}, ""),
        ({"stop": ["acpi"]}, {"xml": CHANNEL}, ""),
        ({"stop": ["agent", "acpi"], "shell": ["agent", "ssh"]}, {}, ""),
        ({"stop": ["agent"]}, {"agent": True}, ""),
        ({"stop": ["agent"]}, {"driver": "LXC"}, ""),
    ],
)
def test_an_agent_that_is_wanted_and_dead_or_not_there_is_told(
    tmp_path: Path, rule: Mapping[str, Any], guest: dict[str, Any], told: str
) -> None:
    problems = found(tmp_path, "agent", rule, **guest)
    assert [one.severity for one in problems] == ([Severity.WARNING] if told else [])
    assert all(told in one.message and one.remedy for one in problems)


@pytest.mark.parametrize(
    ("rule", "severity"),
    [
        ({"shell": "ssh"}, Severity.ERROR),
        ({"stop": ["ssh"]}, Severity.ERROR),
        ({"shell": ["agent", "ssh"]}, Severity.WARNING),
        ({"stop": ["ssh", "acpi"]}, Severity.WARNING),
        ({"stop": ["acpi"]}, None),
    ],
)
def test_a_guest_that_is_logged_in_to_by_ssh_and_whose_host_key_nobody_knows_is_told(
    tmp_path: Path, rule: Mapping[str, Any], severity: Severity | None
) -> None:
    problems = found(tmp_path, "ssh", rule)
    assert [(one.severity, one.remedy) for one in problems] == (
        [(severity, "`lastcall ssh enroll g`")] if severity else []
    )


def test_once_it_is_enrolled_nothing_is_said(tmp_path: Path) -> None:
    lab = Lab(tmp_path, plugins={})
    guest = lab.guest("g", settings={"shell": "ssh"}, shell=True)
    lab.check()
    (folder,) = (path for path in tmp_path.rglob("ssh") if path.is_dir())
    (folder / f"{guest.guest.file_name}.pub").write_text("ssh-ed25519 AAAA comment\n")
    assert [one for one in lab.check() if one.what == "ssh"] == []


@pytest.mark.parametrize(("what", "work"), [("commands", ["true"]), ("databases", ["auto"])])
def test_work_in_a_guest_without_a_shell_is_told_by_check(tmp_path: Path, what: str, work: Any) -> None:
    (problem,) = found(tmp_path, what, {what: work, "stop": ["acpi"]})
    assert problem.severity is Severity.ERROR
    assert "shell" in f"{problem.message} {problem.remedy}"


SLOW = {"timeout": "5min"}


@pytest.mark.parametrize(
    ("rule", "config", "told"),
    [
        ({"commands": [{"run": "backup", **SLOW}]}, "", "cut off after 60s (hooks.timeout)"),
        ({"commands": {"on_guest_stop": ["true", {"run": "backup", **SLOW}]}}, "", "cut off after 60s"),
        ({"databases": [{"redis": SLOW}, "mariadb"]}, "", "cut off after 60s (hooks.timeout)"),
        ({"databases": {"redis": SLOW}, "hooks": {"timeout": "2min"}}, "", "(the guest's hooks.timeout)"),
        ({"databases": {"redis": SLOW}, "hooks": {"timeout": "5min"}}, "", ""),
        ({"databases": {"redis": SLOW}}, "hooks: {timeout: 6min}", ""),
        ({"databases": {"redis": SLOW}}, "hooks: {plugins: {databases: {timeout: 6min}}}", ""),
        ({"databases": {"redis": SLOW}}, "hooks: {plugins: {commands: {timeout: 6min}}}", "cut off after 60s"),
        ({"databases": {"redis": {"timeout": "30s"}}, "commands": ["true"]}, "", ""),
    ],
)
def test_a_timeout_that_the_time_of_its_hook_cuts_off_is_told_by_check_as_by_plan(
    tmp_path: Path, rule: Mapping[str, Any], config: str, told: str
) -> None:
    lab = Lab(tmp_path, plugins={}, config=config)
    lab.guest("g", settings={"stop": ["acpi"], **rule})
    problems = [one for one in lab.check() if one.what == "timeout"]
    assert [one.severity for one in problems] == ([Severity.WARNING] if told else [])
    assert all(told in one.message and "5min is never reached" in one.message for one in problems)
    planned = [one["message"] for one in lab.plan("g")["problems"] if one["what"] == "timeout"]
    assert planned == [one.message for one in problems]


@pytest.mark.parametrize(("deadline", "fits"), [("2min", False), ("10min", True)])
def test_check_says_as_plan_does_where_the_worst_case_does_not_fit(
    tmp_path: Path, deadline: str, *, fits: bool
) -> None:
    lab = Lab(tmp_path, plugins={}, config=f"shutdown: {{deadline: {deadline}}}")
    lab.guest("g", settings={"stop": [{"acpi": {"timeout": "4min"}}, "destroy"]})
    told = [one for one in lab.check() if one.what == "deadline"]
    assert [one.severity for one in told] == ([] if fits else [Severity.WARNING])
    assert all("the worst case (g) takes 4min" in one.message for one in told)


def test_check_says_as_plan_does_that_the_reserve_is_too_short_for_the_plug(tmp_path: Path) -> None:
    lab = Lab(tmp_path, plugins={}, config="shutdown: {deadline: 2min, reserve: 10s}")
    lab.guest("g", settings={"stop": ["acpi"]})
    (problem,) = [one for one in lab.check() if one.where == "shutdown.reserve"]
    assert "a QEMU that hangs needs" in problem.message
