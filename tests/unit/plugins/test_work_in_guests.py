"""What is done inside guests by the bundled plugins, in whole runs: when, for whom, and what a failure means."""

from typing import Any

import pytest
import yaml

from lastcall import Outcome, Report, Verdict
from lastcall.config.load import parse
from lastcall.config.settings import Bootstrap
from lastcall.errors import ConfigInvalid
from lastcall.hooks.discovery import Plugins
from lastcall.testing import Lab, LabGuest, Says, ShellCall
from lastcall.testing.pytest_plugin import MakeLab


def echo(call: ShellCall) -> Says:
    """A command that says its own line, and fails where that is `fail`."""
    return Says(stdout=f"{call.line}\n", exit_code=3 if call.line == "fail" else 0)


def lab_of(lastcall_lab: MakeLab, rule: str, *names: str, more: str = "") -> tuple[Lab, list[LabGuest]]:
    lab = lastcall_lab(config=f"guests:\n  - {rule}\n{more}")
    guests = [lab.guest(name) for name in names or ("a", "b")]
    for guest in guests:
        guest.shell.answers({"*": echo})
    return lab, guests


def shut_down(lastcall_lab: MakeLab, rule: str, *names: str, more: str = "") -> tuple[Report, list[LabGuest]]:
    lab, guests = lab_of(lastcall_lab, rule, *names, more=more)
    return lab.shutdown(), guests


def test_commands_run_in_order_for_their_guests_only_and_every_session_is_closed(lastcall_lab: MakeLab) -> None:
    report, (a, b) = shut_down(lastcall_lab, "{match: a, commands: [one, {run: [echo, two]}]}")
    assert a.shell.calls == ["one", "echo two"]
    assert b.shell.calls == []
    assert (a.shell.open_sessions, b.shell.open_sessions) == (0, 0)
    (call,) = report.guest("a").hooks
    assert (call.plugin, call.result) == ("commands", Verdict.OK)
    assert report.guest("b").hooks == (), "it costs nobody else a thing"
    assert report.run.exit_code == 0


def test_a_failing_command_counts_and_the_guest_is_stopped_all_the_same(lastcall_lab: MakeLab) -> None:
    report, (a, _) = shut_down(lastcall_lab, "{match: a, commands: [fail, after]}")
    assert a.shell.calls == ["fail", "after"]
    guest = report.guest("a")
    assert (guest.outcome, guest.hooks[0].result, report.run.exit_code) == (Outcome.STOPPED, Verdict.FAILED, 1)
    assert "fail: exit code 3" in guest.hooks[0].message


@pytest.mark.parametrize(
    ("policy", "said", "outcome"),
    [
        ("stop", ["fail"], Outcome.STOPPED),
        ("skip_guest", ["fail"], Outcome.SKIPPED),
        ("ignore", ["fail", "after"], Outcome.STOPPED),
    ],
)
def test_a_command_says_what_its_failure_means(
    lastcall_lab: MakeLab, policy: str, said: list[str], outcome: Outcome
) -> None:
    rule = f"{{match: a, commands: [{{run: fail, on_failure: {policy}}}, after]}}"
    report, (a,) = shut_down(lastcall_lab, rule, "a")
    assert a.shell.calls == said
    assert report.guest("a").outcome is outcome


def test_a_shell_that_lets_nobody_in_and_one_that_is_not_configured_are_told(lastcall_lab: MakeLab) -> None:
    lab, (closed,) = lab_of(lastcall_lab, '{match: "*", commands: [one]}', "closed")
    closed.shell.refuses_logins("nobody is let in")
    lab.guest("bare", shell=False)
    report = lab.shutdown()
    assert report.guest("closed").hooks[0].message == "one: lab: nobody is let in"
    message = report.guest("bare").hooks[0].message
    assert message.startswith("one: no shell is configured for bare → set `shell: agent`")


@pytest.mark.parametrize(
    ("policy", "said", "outcome"),
    [
        ("continue", ["fail", "after"], Outcome.STOPPED),
        ("stop", ["fail"], Outcome.STOPPED),
        ("skip_guest", ["fail"], Outcome.SKIPPED),
        ("ignore", ["fail", "after"], Outcome.STOPPED),
    ],
)
def test_a_shell_that_one_command_lacks_is_the_failure_of_that_command(
    lastcall_lab: MakeLab, policy: str, said: list[str], outcome: Outcome
) -> None:
    lacking = f"{{run: lost, shell: nowhere, on_failure: {policy}}}"
    report, (a,) = shut_down(lastcall_lab, f"{{match: a, commands: [fail, {lacking}, after]}}", "a")
    assert a.shell.calls == said
    guest = report.guest("a")
    assert guest.outcome is outcome
    (call,) = guest.hooks
    assert (call.result, call.message.startswith("fail: exit code 3")) == (Verdict.FAILED, True)
    assert ("lost: " in call.message) == (policy != "ignore")
    told: Any = call.evidence["commands"]
    assert [one["run"] for one in told] == [said[0], "lost", *said[1:]]


def test_a_command_whose_shell_is_missing_and_that_does_not_count_spoils_no_run(lastcall_lab: MakeLab) -> None:
    report, (a,) = shut_down(
        lastcall_lab, "{match: a, commands: [{run: lost, shell: nowhere, on_failure: ignore}, after]}", "a"
    )
    assert (a.shell.calls, report.guest("a").hooks[0].result) == (["after"], Verdict.OK)


def test_check_names_each_shell_that_commands_lack_and_none_that_they_do_not_take(lastcall_lab: MakeLab) -> None:
    commands = "{on_guest_stop: [{run: x, shell: nowhere}, {run: y, shell: nowhere}], on_guest_started: [z]}"
    lab, _ = lab_of(lastcall_lab, f"{{match: a, commands: {commands}}}", "a")
    (problem,) = [one for one in lab.check() if one.what == "commands"]
    assert "nowhere" in problem.message
    lab, _ = lab_of(lastcall_lab, "{match: bare, commands: [{run: x, shell: lab}]}", "a")
    lab.guest("bare", shell=False)
    assert not [one for one in lab.check() if one.what == "commands"]


def test_a_database_without_proof_is_a_failure_with_its_evidence(lastcall_lab: MakeLab) -> None:
    custom = "{custom: {name: ledger, flush: sync, proof: show, pattern: %s}}"
    report, _ = shut_down(lastcall_lab, f"{{match: a, databases: [{custom % 'clean'}]}}", "a")
    (call,) = report.guest("a").hooks
    assert (call.result, report.guest("a").outcome) == (Verdict.FAILED, Outcome.STOPPED)
    assert call.message == "ledger: the proof says 'show', which does not match 'clean'"
    ledger: Any = call.evidence["ledger"]
    assert (ledger["proven"], ledger["after"]["proof"]) == (False, "show")
    report, _ = shut_down(lastcall_lab, f"{{match: a, databases: [{custom % 'show'}]}}", "a")
    assert report.guest("a").hooks[0].result is Verdict.OK


def test_a_database_plugin_that_fails_may_keep_its_guest_running(lastcall_lab: MakeLab) -> None:
    custom = "{custom: {flush: fail, proof: show, pattern: show}}"
    more = "hooks: {plugins: {databases: {on_failure: skip_guest}}}"
    report, _ = shut_down(lastcall_lab, f"{{match: a, databases: [{custom}]}}", "a", more=more)
    assert report.guest("a").outcome is Outcome.SKIPPED


def test_settings_that_were_shown_can_be_read_again() -> None:
    text = (
        "guests:\n"
        "  - match: a\n"
        "    databases: [auto, {postgresql: {port: 5433, password_file: /root/pg}}]\n"
        "    commands: [one, {run: [two, words], user: postgres}]\n"
        "    ssh: {key: a-credential, timeout: 5s}\n"
    )
    words = Plugins(Bootstrap()).vocabulary
    first = parse(text).settings(words)
    shown = yaml.safe_dump(first.model_dump(mode="json", exclude_none=True))
    again = parse(shown).settings(words)
    assert again.model_dump(mode="json") == first.model_dump(mode="json")
    assert "databases:\n  - auto\n  - postgresql:" in shown


def test_mistakes_in_short_forms_have_their_place_and_one_error_each() -> None:
    text = (
        "guests:\n"
        "  - match: a\n"
        "    databases: [postgrsql, {redis: {prt: 3}}]\n"
        "    commands: [{rn: x}, {run: y, on_failure: no}]\n"
        "    ssh: {password: x, key: relative/path}\n"
    )
    policies = "'continue', 'stop', 'skip_guest' or 'ignore'"
    with pytest.raises(ConfigInvalid) as caught:
        parse(text, "c.yaml").settings(Plugins(Bootstrap()).vocabulary)
    assert [f"{one.where} {one.message}" for one in caught.value.problems] == [
        "c.yaml:3:17 guests[0].databases[0].postgrsql: unknown key; did you mean 'postgresql'?",
        "c.yaml:3:37 guests[0].databases[1].redis.prt: unknown key; did you mean 'port'?",
        "c.yaml:4:17 guests[0].commands[0].rn: unknown key; did you mean 'run'?",
        f"c.yaml:4:46 guests[0].commands[1].on_failure: should be {policies}, not 'no'",
        "c.yaml:5:11 guests[0].ssh.password: unknown key; did you mean 'password_file'?",
        "c.yaml:5:29 guests[0].ssh.key: should be an absolute path, or the name of a systemd credential",
    ]
