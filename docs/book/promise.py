"""What is promised, line by line: names and signatures, hooks, commands, keys, variables and exit codes.

`python -m book.promise` prints it, with `--write` into docs/promise.txt. A test holds that the two are the same: a line
that is new is an addition, one that is gone breaks somebody (docs/compatibility.md).
"""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import click

from book.api_page import MODULES, named, signature_lines
from book.hook_facts import hook_facts
from lastcall.cli.commands import COMMANDS
from lastcall.cli.group import cli
from lastcall.config.compose import settings_schema
from lastcall.config.settings import Bootstrap
from lastcall.errors import ExitCode
from lastcall.hooks.discovery import Plugins

DOCS = Path(__file__).parents[1]
FILE = DOCS / "promise.txt"
_VARIABLE = re.compile(r"`(LASTCALL_[A-Z_]+)(?:=1)?`")


def promised() -> list[str]:
    """The lines, in the order of the sections."""
    sections = (_api(), _hooks(), _commands(cli, "lastcall"), _exit_codes(), _keys(), _variables())
    return [line for section in sections for line in section]


def _api() -> Iterator[str]:
    for module in MODULES:
        for one in named(module):
            lines = (line for line in signature_lines(one.node) if not line.startswith(" " * 8))  # those are sentences
            for line in lines:
                yield f"{module.__name__}.{one.name}: {' '.join(line.split())}"


def _hooks() -> Iterator[str]:
    yield from (f"hook: {' '.join(one.signature.split())}" for one in hook_facts())


def _commands(command: click.Command, path: str) -> Iterator[str]:
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            yield f"command: {path} {' '.join((*parameter.opts, *parameter.secondary_opts))}"
        else:
            yield f"command: {path} {parameter.make_metavar(click.Context(command))}"
    names = COMMANDS if command is cli else sorted(getattr(command, "commands", {}))
    for name in names:
        below = cast("click.Group", command).get_command(click.Context(command), name)
        if below and not below.hidden:
            yield f"command: {path} {name}"
            yield from _commands(below, f"{path} {name}")


def _exit_codes() -> Iterator[str]:
    yield from (f"exit code: {code.value} {code.name}" for code in ExitCode)


def _keys() -> Iterator[str]:
    schema = settings_schema(Plugins(Bootstrap(), {}).vocabulary)
    yield from (f"key: {path}" for path in sorted(set(_paths(schema, schema, ""))))


def _paths(schema: Mapping[str, Any], root: Mapping[str, Any], path: str) -> Iterator[str]:
    """Every key of the configuration by its path; `*` stands for a name that somebody chooses, `[]` for an item."""
    if path.count(".") > 8:
        return
    if "$ref" in schema:
        yield from _paths(root["$defs"][schema["$ref"].rpartition("/")[2]], root, path)
    for way in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(way, ()):
            yield from _paths(one, root, path)
    for name, below in schema.get("properties", {}).items():
        deeper = f"{path}.{name}".lstrip(".")
        yield deeper
        yield from _paths(below, root, deeper)
    if isinstance(schema.get("additionalProperties"), Mapping):
        yield from _paths(schema["additionalProperties"], root, f"{path}.*")
    if isinstance(schema.get("items"), Mapping):
        yield from _paths(schema["items"], root, f"{path}[]")


def _variables() -> Iterator[str]:
    pages = (DOCS / "authors" / "executables.md", DOCS / "commands.md")
    told = "".join(page.read_text() for page in pages)
    yield from (f"variable: {name}" for name in sorted(set(_VARIABLE.findall(told))))


if __name__ == "__main__":
    text = "\n".join(promised()) + "\n"
    if "--write" in sys.argv:
        FILE.write_text(text)
    else:
        print(text, end="")
