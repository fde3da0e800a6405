"""What is published of the JSON that commands print: a schema for each, made from the types of what they print."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import click
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from book.schemas import FOLDER, schemas, with_json
from fake_systemctl import FakeSystemctl
from json_documents import hold_against_schema, schema_of_command
from lastcall.api.guests import Reason
from lastcall.cli.commands import COMMANDS, install, uninstall
from lastcall.cli.documents.schema import schema_of
from lastcall.cli.group import cli
from lastcall.cli.invocation import Invocation
from lastcall.config.settings import Settings
from lastcall.installation.install import Installation

TELL_NO_FACTS = {
    ("config", "sample"),  # a text for an editor
    ("config", "schema"),  # JSON itself
    ("demo",),
    ("plugins", "new"),
    ("plugins", "trace"),  # for whoever looks for what is wrong with a plugin
    ("power", "answer"),  # on its socket, and what `power line` and its like print then
    ("power", "watch"),
    ("reboot",),  # the host goes down with it
    ("stamp",),
}


def all_commands(command: click.Command = cli, *words: str) -> Iterator[tuple[str, ...]]:
    names = COMMANDS if command is cli else sorted(getattr(command, "commands", {}))
    if not names:
        yield words
    for name in names:
        below = cast("click.Group", command).get_command(click.Context(command), name)
        assert below
        yield from all_commands(below, *words, name)


def test_every_command_that_prints_facts_prints_them_as_json() -> None:
    assert set(all_commands()) - set(with_json()) == TELL_NO_FACTS


def test_the_published_schemas_are_what_the_commands_say() -> None:
    published = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert published == schemas(), "`make promise` writes them"


@pytest.mark.parametrize("words", list(with_json()), ids="-".join)
def test_a_schema_is_one_and_every_document_has_a_version(words: tuple[str, ...]) -> None:
    schema = schema_of_command(*words)
    Draft202012Validator.check_schema(schema)
    assert schema["title"] == f"lastcall {' '.join(words)} --json"
    assert "version" in schema["required"]
    assert schema["description"]


def test_a_schema_asks_for_no_arguments_and_reads_no_configuration() -> None:
    done = CliRunner().invoke(cli, ["--config", "/nonexistent", "guest", "set", "--schema"], prog_name="lastcall")
    assert (done.exit_code, done.stdout) == (0, (FOLDER / "guest-set.json").read_text())


def test_what_has_no_schema_is_refused_where_it_is_written_and_not_where_it_is_read() -> None:
    with pytest.raises(TypeError, match="complex"):
        schema_of(complex, "")


@pytest.mark.parametrize("dry_run", [True, False])
def test_installing_and_taking_away_are_told_step_by_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, dry_run: bool
) -> None:
    def settings(_text: str | None) -> Settings:
        return Settings()

    def known() -> Mapping[str, Any]:
        return {}

    def prepare(_invocation: Invocation, _replace: tuple[str, ...] = (), *, reason: Reason = Reason.OTHER) -> Any:
        assert reason
        return Installation(
            program=Path("/opt/lastcall"), settings=settings, systemctl=FakeSystemctl(), root=tmp_path, known=known
        )

    monkeypatch.setattr(install, "prepare", prepare)
    monkeypatch.setattr(uninstall, "prepare", prepare)
    words = ["--dry-run"] if dry_run else []
    done = CliRunner().invoke(cli, ["install", "--json", *words], standalone_mode=False)
    told = hold_against_schema(done.stdout, "install")
    assert any("lastcall.service" in step["text"] for step in told["steps"])
    assert (told["dry_run"], told["duty"] is None, done.return_value) == (dry_run, dry_run, 0)
    assert (tmp_path / "etc/systemd/system/lastcall.service").exists() is not dry_run
    done = CliRunner().invoke(cli, ["uninstall", "--json", *words], standalone_mode=False)
    assert hold_against_schema(done.stdout, "uninstall")["steps"]
