"""The JSON Schemas of what commands print with `--json`, into docs/schemas: `python -m book.schemas --write`.

The same text as `lastcall COMMAND --schema` prints.
"""

import sys
from collections.abc import Iterator
from typing import cast

import click
from click.testing import CliRunner

from book.promise import DOCS
from lastcall.cli.commands import COMMANDS
from lastcall.cli.group import cli

FOLDER = DOCS / "schemas"


def with_json(command: click.Command = cli, *words: str) -> Iterator[tuple[str, ...]]:
    """The words of each command that prints JSON."""
    if any("--json" in option.opts for option in command.params):
        yield words
    for name in COMMANDS if command is cli else sorted(getattr(command, "commands", {})):
        below = cast("click.Group", command).get_command(click.Context(command), name)
        if below:
            yield from with_json(below, *words, name)


def schemas() -> dict[str, str]:
    """The content of each file by its name."""
    return {f"{'-'.join(words)}.json": _printed(*words, "--schema") for words in with_json()}


def _printed(*words: str) -> str:
    done = CliRunner().invoke(cli, list(words), prog_name="lastcall")
    if done.exit_code:
        raise ValueError(f"{' '.join(words)}: {done.output}")
    return done.stdout


if __name__ == "__main__":
    made = schemas()
    if "--write" in sys.argv:
        FOLDER.mkdir(exist_ok=True)
        for path in FOLDER.glob("*.json"):
            if path.name not in made:
                path.unlink()
        for name, text in made.items():
            (FOLDER / name).write_text(text)
    else:
        print("\n".join(made.values()), end="")
