"""`lastcall status`: which guests wait to be brought back."""

from datetime import UTC, datetime

import click

from lastcall.cli import Invocation
from lastcall.commands.options import json_option
from lastcall.durations import format_duration
from lastcall.errors import ExitCode
from lastcall.loading import load
from lastcall.report.plain import as_json as as_json_text
from lastcall.state import Entry, boot_id, open_state


@click.command("status")
@json_option
@click.pass_obj
def command(invocation: Invocation, *, as_json: bool) -> int:
    """Show which guests wait to be restored, and since when.

    Exit code 0: none waits. 3: some do.
    """
    state = open_state(load(invocation.config).settings.paths.state)
    entries = sorted(state.entries.values(), key=lambda entry: (entry.uri, entry.name))
    if as_json:
        click.echo(as_json_text({"version": 1, "guests": entries}, indent=1))
    else:
        click.echo("\n".join(map(_line, entries)) or "no guest waits to be restored")
    return ExitCode.NOT_STARTED if entries else ExitCode.OK


def _line(entry: Entry) -> str:
    age = (datetime.now(UTC) - datetime.fromisoformat(entry.since)).total_seconds()
    off = format_duration(max(0, age // 60 * 60))
    return f"{entry.name}  was {entry.state.value} on {entry.uri}  off for {off}  {_how(entry)}"


def _how(entry: Entry) -> str:
    by_hand = f"by `lastcall restore {entry.name}`"
    if entry.parked:
        return f"parked: started only {by_hand}"
    if entry.due and entry.boot_id == boot_id():
        return "waits to be restored at the next boot"
    return f"waits to be restored {by_hand}"
