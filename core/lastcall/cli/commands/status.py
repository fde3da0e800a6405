"""`lastcall status`: whether lastcall is on duty, and which guests wait to be brought back."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime

import click

from lastcall.cli.documents.state import StatusDocument, WaitingGuest
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import json_option
from lastcall.errors import ExitCode
from lastcall.formats.json_text import to_json
from lastcall.formats.quantities import format_duration
from lastcall.formats.visible_text import page, visible
from lastcall.persistence.announcement import Announcement, NoticeBoard
from lastcall.persistence.boot_stamp import BootStamp, boot_id
from lastcall.persistence.last_line import ASKED_BY
from lastcall.persistence.motd import Motd
from lastcall.persistence.refusals import refusals_told
from lastcall.persistence.state import Entry, StateFile, open_state
from lastcall.presence.roll_call import RollCall, call_roll
from lastcall.report.unseen import BadRun, SeenRuns, bad_run_line, login_words

_UNSEEN = 3


@click.command("status", short_help="Show whether lastcall is on duty, and who waits to be restored.")
@json_option(StatusDocument)
@click.pass_obj
def status_command(invocation: Invocation, *, as_json: bool) -> int:
    """Show whether lastcall is on duty, and which guests wait to be restored since when.

    Of guests on the list libvirt is asked first: who runs again does not wait. Where it does not answer, that is said.

    Exit code 0: on duty, so that the next host stop is served. 3: it is not, as the unit was not started in this boot.
    """
    paths = invocation.places(lambda line: click.echo(visible(line), err=True))
    duty, state = BootStamp(paths.run).on, open_state(paths.state)
    if state.distrust:
        click.echo(visible(state.distrust.message), err=True)
        click.echo(visible(f"  → {state.distrust.remedy}"), err=True)
    announced = NoticeBoard(paths.run).read()
    entries = sorted(state.entries.values(), key=lambda entry: (entry.uri, entry.name)) if paths.brings_back else []
    roll = call_roll(entry.guest.key for entry in entries)
    with refusals_told(paths.state):
        seen = SeenRuns(paths.state)
        unseen, last = seen.unseen(), seen.last()
        Motd(paths, wanted=paths.brings_back).refresh(unseen=login_words(unseen), back=roll.back, off=roll.off)
    waiting = [entry for entry in entries if entry.guest.key not in roll.back]
    if as_json:
        guests = tuple(
            WaitingGuest(**asdict(one), back=False if one.guest.key in roll.off else None) for one in waiting
        )
        facts = StatusDocument(
            on_duty=duty, announced=announced, guests=guests, silent=roll.silent, unseen=tuple(unseen), seen=last
        )
        click.echo(to_json(facts, indent=1))
        return ExitCode.OK if duty else ExitCode.NOT_STARTED
    click.echo("on duty" if duty else "not on duty: guests are not stopped with this host; see `lastcall install`")
    if announced:
        click.echo(visible(_announcement(announced)))
    click.echo("".join(f"{line}\n" for line in map(visible, _unseen_lines(unseen))), nl=False)
    why = "" if paths.brings_back else ": restore.policy is none"
    click.echo(page(_lines(waiting, roll, state)) or f"no guest waits to be restored{why}")
    return ExitCode.OK if duty else ExitCode.NOT_STARTED


def _announcement(announced: Announcement) -> str:
    left = announced.left()
    within = "" if left is None else f", over within {format_duration(round(left))}"
    return f"announced: the next host stop is for {announced.reason}{within}"


def _unseen_lines(unseen: list[BadRun]) -> Iterator[str]:
    for run in unseen[:_UNSEEN]:
        yield f"! {bad_run_line(run)}"
    if len(unseen) > _UNSEEN:
        yield "! and earlier runs like it"
    if unseen:
        yield f"  → `lastcall report {unseen[0].id}` tells it; `lastcall report --ack` once it is seen"


def _lines(waiting: list[Entry], roll: RollCall, state: StateFile) -> Iterator[str]:
    for uri, why in roll.silent.items():
        yield f"libvirt did not answer for {uri} ({why}): whether its guests are back is not known"
    for entry in waiting:
        age = (datetime.now(UTC) - datetime.fromisoformat(entry.since)).total_seconds()
        since = f"{'off' if entry.guest.key in roll.off else 'listed'} for {format_duration(max(0, age // 60 * 60))}"
        doubt = "perhaps " if entry.uri in roll.silent and not entry.parked else ""
        by_virsh = "  (asked by virsh, as lastcall could not run)" if entry.run == ASKED_BY else ""
        yield f"{entry.name}  was {entry.state.value} on {entry.uri}  {since}  {doubt}{_how(entry, state)}{by_virsh}"


def _how(entry: Entry, state: StateFile) -> str:
    by_hand = f"by `lastcall restore {entry.name}`"
    if entry.bad_image:
        return f"parked: its saved image does not load; started without it {by_hand[:-1]} --fresh`"
    if entry.parked:
        return f"parked: started only {by_hand}"
    back = f"waits for {entry.waits_for}; restored " if entry.waits_for else ""
    if back:
        in_this_boot = entry.is_due_from(state.previous_boot) and state.boot == boot_id()
        return back + ("when that is there" if in_this_boot else by_hand)
    if entry.due and entry.boot_id == boot_id():
        return "waits to be restored at the next boot"
    if entry.is_due_from(state.previous_boot) and state.boot == boot_id() != state.restored_in:
        return "waits to be restored in this boot, as soon as libvirt answers"
    return f"waits to be restored {by_hand}"
