"""`lastcall plugins new`: write the skeleton of a plugin, which works and has its tests."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lastcall.cli.commands import COMMANDS
from lastcall.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from lastcall.cli.skeleton.names import PluginNames


@click.command("new")
@click.argument("name", metavar="NAME")
@click.option("--stop-method", is_flag=True, help="With a stop method, a word for the ladders of guests.")
@click.option("--shell", is_flag=True, help="With a guest shell, a way to run commands in guests.")
@click.option("--command", is_flag=True, help="With a command, `lastcall NAME`.")
@click.option("--drop-in", is_flag=True, help="One file for hooks.d and its test, instead of a package.")
def new_plugin(name: str, *, stop_method: bool, shell: bool, command: bool, drop_in: bool) -> int:
    """Write a plugin to start from: options, hooks, a check, and tests.

    NAME is a word or several, as door-sign. A package goes into the folder lastcall-NAME. A drop-in is one file,
    hooks.d/50-NAME.py, to be copied into the hooks.d of a host; its test is in tests, where no host would load it.
    What is there already is not written over.
    """
    from lastcall.cli.skeleton.files import Offer, drop_in_files, package_files, refuse_to_overwrite, write_files
    from lastcall.cli.skeleton.names import parse_names

    names = parse_names(name)
    chosen = {Offer.STOP_METHOD: stop_method, Offer.SHELL: shell, Offer.COMMAND: command}
    offers = [offer for offer, wanted in chosen.items() if wanted]
    if drop_in and offers:
        raise UsageError(f"a drop-in is one file; --{offers[0]} is for a package", "leave out --drop-in")
    if command:
        _refuse_our_own(names.command)
    files = drop_in_files(names) if drop_in else package_files(names, offers)
    refuse_to_overwrite(Path(), files if drop_in else [names.project])
    write_files(Path(), files)
    steps = _after_a_drop_in(names) if drop_in else _after_a_package(names)
    for line in (*(f"wrote {path}" for path in files), "next:", *(f"  {step}" for step in steps)):
        click.echo(line)
    return ExitCode.OK


def _after_a_package(names: "PluginNames") -> tuple[str, str]:
    """Into the environment that lastcall runs in: its tests are then of what a host would have."""
    return f"cd {names.project} && python3 -m pip install --editable '.[dev]'", "python3 -m pytest"


def _after_a_drop_in(names: "PluginNames") -> tuple[str, str]:
    file = f"50-{names.command}.py"
    return f"python3 -m pytest tests/test_{names.plugin}.py", f"install -m 644 hooks.d/{file} /etc/lastcall/hooks.d"


def _refuse_our_own(command: str) -> None:
    if command in COMMANDS:
        remedy = "choose another name, or leave out --command"
        raise UsageError(f"lastcall has a command {command!r} of its own", remedy)
