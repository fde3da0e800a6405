"""`lastcall status`: whether lastcall is on duty, who waits to be brought back, and what the next stop is like."""

import click

from lastcall.cli.documents.status import StatusDocument
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import json_option
from lastcall.cli.status.facts import gather
from lastcall.cli.status.lines import status_lines
from lastcall.config.files import config_file
from lastcall.errors import ExitCode
from lastcall.formats.json_text import to_json
from lastcall.formats.visible_text import visible
from lastcall.persistence.state import open_state


@click.command("status", short_help="Show whether lastcall is on duty, and who waits to be restored.")
@json_option(StatusDocument)
@click.pass_obj
def status_command(invocation: Invocation, *, as_json: bool) -> int:
    """Show whether lastcall is on duty and why it is not, which guests wait to be restored since when and for what, how
    many are there now, how the last run went, and how long the next stop would take.

    Of guests libvirt is asked first, for some seconds at most: who runs again does not wait. Where it does not answer,
    that is said. How long a stop would take, `lastcall plan` has reckoned, and it says when.

    Exit code 0: on duty, so that the next host stop is served. 3: it is not, as the unit was not started in this boot.
    """
    places = invocation.places(lambda line: click.echo(visible(line), err=True))
    state = open_state(places.state)
    if state.distrust:
        click.echo(visible(state.distrust.message), err=True)
        click.echo(visible(f"  → {state.distrust.remedy}"), err=True)
    _, named = config_file(invocation.config)
    facts = gather(places, state, ask_systemd=not named)
    if as_json:
        click.echo(to_json(facts.document(), indent=1))
    else:
        click.echo("\n".join(status_lines(facts, invocation.screen())))
    return ExitCode.OK if facts.on_duty else ExitCode.NOT_STARTED
