"""`lastcall uninstall`: take lastcall off duty."""

from pathlib import Path

import click

from lastcall.api.guests import Reason
from lastcall.cli.commands.install import do, prepare
from lastcall.cli.documents.installing import InstallDocument, step_facts
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import json_option
from lastcall.errors import ExitCode
from lastcall.formats.json_text import to_json
from lastcall.formats.visible_text import visible
from lastcall.persistence.refusals import refusals_told


@click.command("uninstall", short_help="Take lastcall off duty, and give the guests back.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@json_option(InstallDocument)
@click.pass_obj
def uninstall_command(invocation: Invocation, *, dry_run: bool, as_json: bool) -> int:
    """Take lastcall off duty, and give the guests back to libvirt-guests where they were taken from it.

    No guest is touched. The configuration, the list of guests to restore and the run logs stay: /etc/lastcall and
    /var/lib/lastcall.
    """
    # Not as a voluntary run: who takes lastcall away because its configuration is broken must be able to.
    with refusals_told(Path("/etc")):
        steps = prepare(invocation, reason=Reason.OTHER).undo()
    for step in steps:
        click.echo(visible(f"{'would ' if dry_run else ''}{step.text}"), err=as_json)
        if not dry_run:
            do(step)
    if as_json:
        click.echo(to_json(InstallDocument(dry_run=dry_run, steps=step_facts(steps)), indent=1))
    return ExitCode.OK
