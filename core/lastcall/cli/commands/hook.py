"""`lastcall hook`: fire one hook, without the run that it belongs to."""

import asyncio
import sys
from collections.abc import Sequence
from functools import partial
from itertools import chain
from typing import Any

import click

from lastcall.api.guests import Guest, Reason, RunKind
from lastcall.api.naming.guest_names import GuestNames
from lastcall.api.results import FAILURES, HookRecord
from lastcall.cli.documents.findings import FiredHook, HookDocument
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import confirmed, json_option, occasion_option
from lastcall.cli.progress import Progress
from lastcall.errors import ExitCode, Problem, Severity, UsageError
from lastcall.formats.json_text import to_json
from lastcall.formats.layout.columns import NAME, Cell, in_columns
from lastcall.formats.layout.screen import Screen, Tone
from lastcall.formats.visible_text import visible
from lastcall.hooks.occasions.occasions import possible_reasons, usual_reason
from lastcall.hooks.order import RESTORE_HOOKS, RUN_HOOKS
from lastcall.presence.lookup import find_guest
from lastcall.records.records import GuestPlanned, Sink
from lastcall.report.text import all_problem_lines, evidence_lines, hook_lines
from lastcall.runs.assembly.parts import Parts, assemble
from lastcall.runs.loading import Loaded, load
from lastcall.runs.request import RunRequest

FiredFor = tuple[Guest | None, tuple[HookRecord, ...]]  # a guest, None = the whole run, and what each call did


@click.command("hook", short_help="Rehearse one hook of a run.")
@click.argument("name", type=click.Choice(RUN_HOOKS), metavar="NAME")
@click.option("--guest", "guests", multiple=True, metavar="GUEST", help="For this guest; may be given more than once.")
@occasion_option
@click.option("--for-real", is_flag=True, help="No rehearsal: do what a run would have done. It asks first.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask, with --for-real; needed where there is no terminal.")
@json_option(HookDocument)
@click.pass_obj
def hook_command(
    invocation: Invocation,
    name: str,
    guests: tuple[str, ...],
    reason: str,
    *,
    for_real: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Fire one hook of a run, to try a configuration in daytime. Nothing is stopped or started by lastcall itself.

    It is a rehearsal, which plugins are told: `databases` flushes and proves but stops no service, `commands` runs only
    what says `rehearse: true`, and of executable drop-ins only those are run that have a line `# lastcall: rehearse`.
    Names: pre_shutdown, on_guest_stop, on_guest_stuck, on_guest_stopped, post_shutdown, pre_restore, on_guest_start,
    guest_ready, on_guest_started, post_restore, pre_sleep, post_wake. Exit code 1 when a call failed.
    """
    why = usual_reason(name, Reason(reason))
    _refuse_what_no_run_does(name, guests, why)
    loaded = load(invocation.config)
    if for_real:
        invocation = _agreed(invocation, loaded, name, guests, why, yes=yes)
    parts = _assembled(invocation, loaded, name, why, for_real=for_real)
    fired = parts.loop.run_until_complete(fire_hook(parts, name, guests))
    problems = parts.stream.story.report().problems
    if as_json:
        shown = tuple(FiredHook(guest.name if guest else None, calls) for guest, calls in fired)
        click.echo(to_json(HookDocument(hook=name, fired=shown, problems=problems), indent=1))
    else:
        screen = invocation.screen()
        names = GuestNames(guest for guest, _ in fired if guest)
        lines = list(chain.from_iterable(_lines(name, guest, names, calls, screen) for guest, calls in fired))
        # What else plugins failed in on the way, as in telling the guest's settings.
        lines += all_problem_lines(problems, (guest.name for guest in parts.context.guests), screen)
        click.echo("\n".join(lines))
    return ExitCode.NOT_AS_PLANNED if _any_failed(fired, problems) else ExitCode.OK


def _refuse_what_no_run_does(name: str, guests: Sequence[str], why: Reason) -> None:
    """Raise UsageError for a hook that is never fired so."""
    if why not in possible_reasons(name):
        known = ", ".join(one.value for one in Reason if one in possible_reasons(name))
        raise UsageError(f"{name} is never fired for {why.value}", f"--reason {known}")
    for_guests = is_for_guests(name)
    if for_guests != bool(guests):
        raise UsageError(f"{name} is fired for {'a guest' if for_guests else 'the whole run'}",
                         "give --guest" if for_guests else "leave --guest out")  # fmt: skip


def _assembled(invocation: Invocation, loaded: Loaded, name: str, why: Reason, *, for_real: bool) -> Parts:
    """The parts of the run that the hook belongs to."""
    kind = RunKind.RESTORE if name in RESTORE_HOOKS else RunKind.SHUTDOWN
    request = RunRequest(kind=kind, reason=why, rehearsal=True, sinks=_progress(invocation), started=invocation.started)
    parts = assemble(loaded.for_reason(why), request, asyncio.new_event_loop())
    # For the plugins alone: with a run log, `report` would take a single hook for the last run.
    parts.context.rehearsal = not for_real
    parts.stream.problems(loaded.plugins.registry.stray_names())
    return parts


def _any_failed(fired: Sequence[FiredFor], problems: Sequence[Problem]) -> bool:
    """Whether a call failed, or a plugin otherwise."""
    wrong = any(one.result in FAILURES for _, calls in fired for one in calls)
    return wrong or any(one.what == "plugin" and one.severity is Severity.ERROR for one in problems)


def is_for_guests(name: str) -> bool:
    """Whether a hook is fired for each guest, and not once."""
    return name.startswith(("on_guest_", "guest_")) or name in {"check_guest", "describe_guest"}


def _agreed(
    invocation: Invocation, loaded: Loaded, name: str, guests: tuple[str, ...], why: Reason, *, yes: bool
) -> Invocation:
    """Tell what is going to run, and ask; raises UsageError where there is nobody to ask."""
    ones = loaded.plugins.registry.implementations(name)
    due = [one.plugin for one in ones if not one.occasions.refusal(name, why, rehearsal=False)]
    for_whom = f" for {', '.join(guests)}" if guests else ""
    what = f"{name}{for_whom} ({why.value}) for real: {', '.join(due) or 'nobody'}"
    if yes:
        click.echo(visible(what), err=True)
        return invocation
    # Who calls `shutdown` in a script wants guests to stop; who calls this may have thought of a rehearsal.
    if not sys.stdin.isatty():
        raise UsageError(f"{what}: there is no terminal to ask on", "say --yes")
    return confirmed(invocation, f"Run {visible(what)}?")


def _progress(invocation: Invocation) -> list[tuple[str, Sink]]:
    progress = Progress(partial(click.echo, err=True), verbose=invocation.verbose)
    return [] if invocation.quiet else [("progress", progress.take)]


async def fire_hook(parts: Parts, name: str, names: Sequence[str]) -> list[FiredFor]:
    """Fire a hook for these guests, or for the run where none is named; returns what each call did."""
    guests = [await find_guest(parts.inventory, parts.stream, one) for one in names]
    if not is_for_guests(name):
        await parts.connections.connect()
        guests = await parts.connections.active()
        await parts.inventory.learn(guests)
    parts.context.guests = tuple(guests)
    for guest in guests:
        parts.stream.emit(GuestPlanned(at=parts.stream.now(), guest=guest))
    story = parts.stream.story
    if not is_for_guests(name):
        await parts.hooks.fire(name, report=story.report())
        # Before them there were calls of `guest_settings`, of guests that were not planned yet.
        return [(None, tuple(call for call in story.report().hooks if call.hook == name))]
    await asyncio.gather(*(_fire_for(parts, name, guest) for guest in guests))
    return [(guest, story.result(guest.key).hooks) for guest in guests]


async def _fire_for(parts: Parts, name: str, guest: Guest) -> None:
    result = parts.stream.story.result(guest.key)
    box = parts.policies.of(guest).hooks.timeout
    arguments: dict[str, Any] = {"result": result, "attempts": ()}
    await parts.hooks.fire(name, guest, box=box, since=parts.loop.time(), **arguments)


def _lines(
    name: str, guest: Guest | None, names: GuestNames, calls: tuple[HookRecord, ...], screen: Screen
) -> list[str]:
    lines = list[str]()
    if guest:
        place = names.place(guest)
        heading = Cell(f"{names.of(guest)}:", Tone.HEADING, place and f"{place}:")
        lines = list(in_columns([(heading,)], (NAME,), screen))
    for call in calls:
        lines += [*hook_lines(call, screen, 2), *evidence_lines(call, screen, 4)]
    return lines if calls else [*lines, f"  no plugin does anything in {name}" + (" for this guest" if guest else "")]
