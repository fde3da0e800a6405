"""A rule that gives a secret or a command by a guest's name is a warning: names are for whoever defines guests."""

import pytest

from lastcall.checks.named_rules import named_rules
from lastcall.config.load import parse
from lastcall.config.settings import Bootstrap
from lastcall.errors import Severity
from lastcall.hooks.discovery import Plugins

WORDS = Plugins(Bootstrap()).vocabulary
UUID = "11111111-0000-0000-0000-000000000000"


def found(rule: str) -> list[str]:
    document = parse(f"guests:\n  - {rule}\n", "c.yaml")
    settings = document.settings(WORDS)
    problems = list(named_rules(document.node, settings.guests))
    assert all(one.severity is Severity.WARNING and "uuid" in one.remedy for one in problems)
    return [f"{one.where}: {one.message}" for one in problems]


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ("ssh: {password_file: /p}", "a secret (ssh.password_file)"),
        ("ssh: {key: name, passphrase_file: /p}", "a secret (ssh.key), a secret (ssh.passphrase_file)"),
        ("databases: {postgresql: {password_file: /p}}", "a secret (databases.each.postgresql.password_file)"),
        ("databases: [auto, {custom: {flush: a, proof: b, pattern: c}}]",
         "a command (databases.each.custom.flush), a command (databases.each.custom.proof)"),
        ("commands: [sync]", "a command (commands.on_guest_stop.run)"),
        ("commands: {on_guest_started: [{run: sync, user: x}]}", "a command (commands.on_guest_started.run)"),
        ("ready: {command: 'true'}", "a command (ready.command)"),
        ("stop: [{ssh: {command: halt}}, acpi]", "a command (stop.ssh.command)"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["db", "db-*"])
def test_what_a_name_gives_is_told_with_its_place(settings: str, what: str, name: str) -> None:
    message = f"c.yaml:2:6: guests[0].match: whoever bears the name {name!r} gets {what}"
    assert found(f"{{match: {name!r}, {settings}}}") == [message]
    assert found(f"{{match: {{name: {name!r}, uri: 'qemu:*'}}, {settings}}}") == [message]
    assert found(f"{{match: {{uuid: {UUID}}}, {settings}}}") == []
    assert found(f"{{match: {{uuid: {UUID}, name: {name!r}}}, {settings}}}") == []
    assert found(f"{{match: {{uri: 'qemu:*'}}, {settings}}}") == []


@pytest.mark.parametrize(
    "settings",
    ["stop: [acpi]", "shell: ssh", "ssh: {user: admin}", "databases: auto", "ready: {tcp: 22}", "depends_on: x",
     "stop: [ssh]", "commands: []", "timeout: 3min"],
)  # fmt: skip
def test_a_rule_that_gives_neither_is_none(settings: str) -> None:
    assert found(f"{{match: db, {settings}}}") == []
