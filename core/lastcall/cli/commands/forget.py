"""`lastcall forget`: take guests off the list of those to be brought back."""

import os

import click

from lastcall.api.guests import Reason
from lastcall.cli.invocation import Invocation
from lastcall.errors import ExitCode, NoPermission, UsageError
from lastcall.persistence.motd import Motd
from lastcall.persistence.state import open_state, select_entries
from lastcall.runs.lock import Holder, RunLock


@click.command("forget")
@click.argument("guests", nargs=-1, metavar="[GUEST]...")
@click.option("--all", "everyone", is_flag=True, help="Forget every guest on the list.")
@click.pass_obj
def forget_command(invocation: Invocation, guests: tuple[str, ...], *, everyone: bool) -> int:
    """Take guests off the list of those to be restored. The guests themselves and saved images are not touched."""
    if bool(guests) == everyone:
        raise UsageError("name the guests to forget, or give --all", "`lastcall status` shows the list")
    # Strict: the defaults that stand in for a broken configuration may lead to another list than the one meant.
    paths = invocation.places(strict=True)
    lock = RunLock(paths.run)
    # A run that is under way writes the whole list anew, and the guest would be on it again.
    lock.take(Holder("forget", Reason.MANUAL.value, os.getpid()))
    try:
        state = open_state(paths.state)
        entries = select_entries(list(state.entries.values()), guests)
        state.drop(entry.guest.key for entry in entries)
        state.save()
    except PermissionError as error:
        raise NoPermission(f"no permission to write {error.filename}", "run as root, or set paths.state") from None
    finally:
        lock.release()
    Motd(paths).refresh()
    for entry in entries:
        click.echo(f"{entry.name} ({entry.uri}) is forgotten")
    return ExitCode.OK
