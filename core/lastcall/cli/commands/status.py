"""`lastcall status`: whether lastcall is on duty, and which guests wait to be brought back."""

from datetime import UTC, datetime

import click

from lastcall.cli.invocation import Invocation
from lastcall.cli.options import json_option
from lastcall.errors import ExitCode
from lastcall.formats.durations import format_duration
from lastcall.formats.json_text import to_json
from lastcall.persistence.announcement import NoticeBoard
from lastcall.persistence.boot_stamp import BootStamp, boot_id
from lastcall.persistence.state import Entry, StateFile, open_state


@click.command("status")
@json_option
@click.pass_obj
def status_command(invocation: Invocation, *, as_json: bool) -> int:
    """Show whether lastcall is on duty, and which guests wait to be restored since when.

    Exit code 0: on duty, so that the next host stop is served. 3: it is not, as the unit was not started in this boot.
    """
    paths = invocation.places(lambda line: click.echo(line, err=True))
    duty, state = BootStamp(paths.run).on, open_state(paths.state)
    announced = NoticeBoard(paths.run).read()
    entries = sorted(state.entries.values(), key=lambda entry: (entry.uri, entry.name))
    if as_json:
        facts = {"version": 1, "on_duty": duty, "announced": announced, "guests": entries}
        click.echo(to_json(facts, indent=1))
        return ExitCode.OK if duty else ExitCode.NOT_STARTED
    click.echo("on duty" if duty else "not on duty: guests are not stopped with this host; see `lastcall install`")
    if announced:
        left = announced.left()
        within = "" if left is None else f", over within {format_duration(round(left))}"
        click.echo(f"announced: the next host stop is for {announced.reason}{within}")
    click.echo("\n".join(_line(entry, state) for entry in entries) or "no guest waits to be restored")
    return ExitCode.OK if duty else ExitCode.NOT_STARTED


def _line(entry: Entry, state: StateFile) -> str:
    age = (datetime.now(UTC) - datetime.fromisoformat(entry.since)).total_seconds()
    off = format_duration(max(0, age // 60 * 60))
    return f"{entry.name}  was {entry.state.value} on {entry.uri}  off for {off}  {_how(entry, state)}"


def _how(entry: Entry, state: StateFile) -> str:
    by_hand = f"by `lastcall restore {entry.name}`"
    if entry.parked:
        return f"parked: started only {by_hand}"
    if entry.due and entry.boot_id == boot_id():
        return "waits to be restored at the next boot"
    if entry.is_due_from(state.previous_boot) and state.boot == boot_id() != state.restored_in:
        return "waits to be restored in this boot, as soon as libvirt answers"
    return f"waits to be restored {by_hand}"
