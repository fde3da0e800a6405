"""What is done inside guests, in whole runs on guests in memory: when, for whom, and what a failure means."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from lastcall import (
    Command,
    CommandResult,
    Guest,
    GuestShell,
    Outcome,
    Report,
    Run,
    ShellRefused,
    ShellSession,
    Verdict,
    hookimpl,
)
from lastcall.config.load import parse
from lastcall.config.settings import Bootstrap
from lastcall.errors import ConfigInvalid
from lastcall.hooks.discovery import Plugins
from lastcall.memory import FakeGuest, run_shutdown
from support import by_name


class Room(GuestShell):
    """A guest shell whose commands say their own last word, and fail when that is `fail`."""

    name = "room"

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.open = 0

    def connect(self, guest: Guest, run: Run) -> ShellSession:
        if guest.name == "closed":
            raise ShellRefused("nobody is let in")
        self.open += 1
        return RoomSession(self, guest)


class RoomSession(ShellSession):
    def __init__(self, room: Room, guest: Guest) -> None:
        self._room, self._guest = room, guest

    def execute(self, command: Command) -> CommandResult:
        nonce, line = command.argv[4], command.argv[11] if command.argv[-1] == "lastcall" else command.argv[-1]
        self._room.said.append((self._guest.name, line))
        code = 3 if line == "fail" else 0
        return CommandResult(
            exit_code=0, stdout=f"{line}\n", stderr=f"\n{nonce} exit {code}\n", truncated=False, duration=0.5, shell=""
        )

    def close(self) -> None:
        self._room.open -= 1


class Building:
    """A plugin that offers the room."""

    def __init__(self) -> None:
        self.room = Room()

    @hookimpl
    def guest_shells(self) -> list[GuestShell]:
        return [self.room]


def shut_down(tmp_path: Path, rule: str, *names: str, more: str = "") -> tuple[Report, Building]:
    building = Building()
    config = f"defaults: {{shell: room}}\nguests:\n  - {rule}\n{more}"
    guests = [FakeGuest(name) for name in names or ("a", "b")]
    return run_shutdown(tmp_path, guests, plugins={"building": building}, config=config), building


def test_commands_run_in_order_for_their_guests_only_and_every_session_is_closed(tmp_path: Path) -> None:
    report, building = shut_down(tmp_path, "{match: a, commands: [one, {run: [echo, two]}]}")
    assert building.room.said == [("a", "one"), ("a", "two")]
    assert building.room.open == 0
    (call,) = by_name(report, "a").hooks
    assert (call.plugin, call.result) == ("commands", Verdict.OK)
    assert by_name(report, "b").hooks == (), "it costs nobody else a thing"
    assert report.run.exit_code == 0


def test_a_failing_command_counts_and_the_guest_is_stopped_all_the_same(tmp_path: Path) -> None:
    report, building = shut_down(tmp_path, "{match: a, commands: [fail, after]}")
    assert building.room.said == [("a", "fail"), ("a", "after")]
    guest = by_name(report, "a")
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
def test_a_command_says_what_its_failure_means(tmp_path: Path, policy: str, said: list[str], outcome: Outcome) -> None:
    rule = f"{{match: a, commands: [{{run: fail, on_failure: {policy}}}, after]}}"
    report, building = shut_down(tmp_path, rule, "a")
    assert [line for _, line in building.room.said] == said
    assert by_name(report, "a").outcome is outcome


def test_a_shell_that_lets_nobody_in_and_one_that_is_not_configured_are_told(tmp_path: Path) -> None:
    report, _ = shut_down(tmp_path, '{match: "*", commands: [one]}', "closed")
    assert by_name(report, "closed").hooks[0].message == "one: room: nobody is let in"
    report = run_shutdown(tmp_path, [FakeGuest("bare")], config="guests: [{match: bare, commands: [one]}]")
    message = by_name(report, "bare").hooks[0].message
    assert message.startswith("no shell is configured for bare → set `shell: agent`")


def test_a_database_without_proof_is_a_failure_with_its_evidence(tmp_path: Path) -> None:
    custom = "{custom: {name: ledger, flush: sync, proof: show, pattern: %s}}"
    report, _ = shut_down(tmp_path, f"{{match: a, databases: [{custom % 'clean'}]}}", "a")
    (call,) = by_name(report, "a").hooks
    assert (call.result, by_name(report, "a").outcome) == (Verdict.FAILED, Outcome.STOPPED)
    assert call.message == "ledger: the proof says 'show', which does not match 'clean'"
    ledger: Any = call.evidence["ledger"]
    assert (ledger["proven"], ledger["after"]["proof"]) == (False, "show")
    report, _ = shut_down(tmp_path, f"{{match: a, databases: [{custom % 'show'}]}}", "a")
    assert by_name(report, "a").hooks[0].result is Verdict.OK


def test_a_database_plugin_that_fails_may_keep_its_guest_running(tmp_path: Path) -> None:
    custom = "{custom: {flush: fail, proof: show, pattern: show}}"
    more = "hooks: {plugins: {databases: {on_failure: skip_guest}}}"
    report, _ = shut_down(tmp_path, f"{{match: a, databases: [{custom}]}}", "a", more=more)
    assert by_name(report, "a").outcome is Outcome.SKIPPED


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
