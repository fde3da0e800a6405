"""`lastcall stamp`: what the unit's ExecStart runs."""

import click

from lastcall.cli.invocation import Invocation
from lastcall.cli.unit.calls import note_boot


@click.command("stamp", short_help="Note that the host has booted; for the unit.")
@click.pass_obj
def stamp_command(invocation: Invocation) -> int:
    """Note that the host has booted and that lastcall is on duty. The systemd unit runs this; it touches no guest."""
    return note_boot(invocation)
