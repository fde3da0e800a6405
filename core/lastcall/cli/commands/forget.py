"""`lastcall forget`: take guests off the list of those to be brought back."""

import os

import click

from lastcall.api.guests import Reason
from lastcall.cli.documents.state import ForgetDocument
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import json_option, listed_arguments
from lastcall.cli.outlet import say_problem
from lastcall.errors import ExitCode, UsageError
from lastcall.formats.json_text import to_json
from lastcall.formats.layout.columns import paragraph
from lastcall.formats.layout.natural import natural_key
from lastcall.persistence.motd import Motd
from lastcall.persistence.refusals import refusals_told
from lastcall.persistence.state import open_state
from lastcall.planning.selection import Selection
from lastcall.report.unseen import unseen_at_login
from lastcall.runs.lock import RunLock
from lastcall.runs.meanwhile.holder import Holder


@click.command("forget", short_help="Take guests off the list of those to be restored.")
@listed_arguments
@click.option("--all", "everyone", is_flag=True, help="Forget every guest on the list.")
@json_option(ForgetDocument)
@click.pass_obj
def forget_command(invocation: Invocation, chosen: Selection, *, everyone: bool, as_json: bool) -> int:
    """Take guests off the list of those to be restored: those named, by name, UUID or quoted glob, or
    all that were stopped for a --cause.

    The guests themselves and saved images are not touched.
    """
    if bool(chosen) == everyone:
        raise UsageError("name the guests to forget, or give --cause or --all", "`lastcall status` shows the list")
    # Strict: the defaults that stand in for a broken configuration may lead to another list than the one meant.
    paths = invocation.places(strict=True)
    lock = RunLock(paths.run)
    try:
        with refusals_told(paths.state):
            # A run that is under way writes the whole list anew, and the guest would be on it again.
            lock.take(Holder("forget", Reason.MANUAL.value, os.getpid()))
            state = open_state(paths.state)
            entries = chosen.listed(list(state.entries.values()))
            state.drop(entry.guest.key for entry in entries)
            state.save()
    finally:
        lock.release()
    if state.distrust:  # the list that was written has nothing doubtful on it any more
        say_problem(state.distrust)
    Motd(paths, wanted=paths.brings_back).refresh(unseen=unseen_at_login(paths.state))
    if as_json:
        click.echo(to_json(ForgetDocument(forgotten=tuple(entries)), indent=1))
        return ExitCode.OK
    for entry in sorted(entries, key=lambda entry: natural_key(entry.name)):
        click.echo("\n".join(paragraph(f"{entry.name} ({entry.uri}) is forgotten", invocation.screen())))
    return ExitCode.OK
