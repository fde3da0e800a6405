"""The command `lastcall door-sign`: says whether guests are going to be mentioned."""

import click
from lastcall import CommandLine, Guest, LastcallError, Run, hookimpl, visible

from lastcall_door_sign.options import ForGuest


@click.command("door-sign")
@click.argument("guests", nargs=-1, required=True, metavar="GUEST...")
@click.pass_obj
def ask(command_line: CommandLine, guests: tuple[str, ...]) -> int:
    """Say whether running guests are going to be mentioned; by name, UUID or glob."""
    answers = command_line.each_guest(guests, whether)
    for guest, answer in answers:
        click.echo(visible(f"{guest.name}: {answer}"))
    return int(any(isinstance(answer, LastcallError) for _, answer in answers))


def whether(guest: Guest, run: Run) -> str:
    """What there is to say of one guest; all are asked at once."""
    return "is mentioned" if run.options(ForGuest, guest).mention else "is not mentioned"


@hookimpl
def register_commands(group: click.Group) -> None:
    """Add it to `lastcall`."""
    group.add_command(ask)
