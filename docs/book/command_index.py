"""What completions choose from: every command with its options and arguments, into the program itself.

`python -m book.command_index --write`. A completion has no time to load the commands, of which most take pydantic.
"""

import json
import sys
from typing import Any

import click

from book.manual.__main__ import PROJECT
from lastcall.cli.commands import COMMANDS
from lastcall.cli.group import cli
from lastcall.config.guest_settings import GuestPolicy

FILE = PROJECT / "core" / "lastcall" / "cli" / "completion" / "commands.json"
_STOPPED = frozenset({"shutdown", "plan"})
_BROUGHT_BACK = frozenset({"restore", "forget"})


def command_index() -> str:
    """The file's content."""
    found = dict[str, Any]()
    _add(found, cli, "")
    lines = ",\n".join(f"{json.dumps(path)}: {json.dumps(facts)}" for path, facts in found.items())
    return f"{{\n{lines}\n}}\n"


def _add(found: dict[str, Any], command: click.Command, path: str) -> None:
    context = click.Context(cli if not path else command, info_name="lastcall", help_option_names=["-h", "--help"])
    names = list(COMMANDS) if command is cli else sorted(getattr(command, "commands", {}))
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    found[path] = {
        "help": command.get_short_help_str(200),
        "commands": names,
        "options": {
            name: {"takes": _taken(one, path), "help": " ".join((one.help or "").split())}
            for one in command.get_params(context) if isinstance(one, click.Option)
            for name in (*one.opts, *one.secondary_opts)
        },
        "arguments": [_taken(one, path) for one in arguments],
        "many": any(one.nargs == -1 for one in arguments),
    }  # fmt: skip
    for name in names:
        below = command.get_command(context, name) if isinstance(command, click.Group) else None
        if below and not below.hidden:
            _add(found, below, f"{path} {name}".strip())


def _taken(one: click.Parameter, path: str) -> str | list[str] | None:
    """What a word of it may be: one of a list, or of a kind; None for an option that takes no word."""
    if isinstance(one, click.Option) and (one.is_flag or one.count):
        return None
    if isinstance(one.type, click.Choice):
        return [str(getattr(choice, "value", choice)) for choice in one.type.choices]
    metavar = (one.metavar or "").strip("[].")
    if isinstance(one.type, click.Path) or metavar == "FILE":
        return "file"
    if metavar in {"KEY=VALUE", "KEY"} and path.startswith("guest "):
        keys = [name for name in GuestPolicy.model_fields if name != "hooks"]
        return [f"{key}=" if "VALUE" in metavar else key for key in keys]
    if metavar == "GUEST" or (path.startswith("runs") and metavar == "NAME"):
        return "ACTIVE" if path in _STOPPED else "LISTED" if path in _BROUGHT_BACK else "GUEST"
    return "RUN" if metavar == "RUN" else "word"


if __name__ == "__main__":
    if "--write" in sys.argv:
        FILE.write_text(command_index())
    else:
        print(command_index(), end="")
