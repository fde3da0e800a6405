"""A plugin's own command, run on the guests of a lab."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import click
from click.testing import CliRunner

from lastcall.api.command_line import CommandLine
from lastcall.cli.commands.plugins import add_commands
from lastcall.errors import ExitCode, LastcallError
from lastcall.hooks.discovery import Plugins


@dataclass(frozen=True, kw_only=True)
class CommandOutcome:
    """What a command printed, by stream, and its exit code."""

    exit_code: int
    output: str
    errors: str


def run_command_of_plugin(
    words: Sequence[str], plugins: Plugins, command_line: Callable[[str], CommandLine], *, answers: str = ""
) -> CommandOutcome:
    """Run it as `lastcall WORDS` would; `answers` are what it reads. Raises what it raises and does not mean to."""
    group = click.Group("lastcall")
    _, failed = add_commands(group, plugins, command_line)
    for error in failed:
        raise error
    result = CliRunner().invoke(group, list(words), input=answers, standalone_mode=False)
    error = result.exception
    if error is None:
        code = result.return_value if isinstance(result.return_value, int) else result.exit_code
        return CommandOutcome(exit_code=code, output=result.stdout, errors=result.stderr)
    if isinstance(error, LastcallError):
        code, said = error.exit_code, f"lastcall: {error}\n"
    elif isinstance(error, click.ClickException):
        code, said = ExitCode.USAGE, f"Error: {error.format_message()}\n"
    elif isinstance(error, SystemExit):
        code, said = result.exit_code, ""
    else:
        raise error
    return CommandOutcome(exit_code=code, output=result.stdout, errors=result.stderr + said)
