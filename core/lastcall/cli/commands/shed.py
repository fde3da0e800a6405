"""`lastcall shed`: stop guests early, so that a battery carries the others for longer."""

import asyncio
import sys
import time
from collections.abc import Iterator
from functools import partial

import click

from lastcall.api.guests import Guest, Key, Reason, RunKind
from lastcall.api.results import Report
from lastcall.cli.commands.shed_cancel import cancel_shedding
from lastcall.cli.documents.power.shed import ComingStage, OutageFacts, ShedDocument, ShedGuest, StayingGuest
from lastcall.cli.invocation import Invocation
from lastcall.cli.login_line import refresh_login_line
from lastcall.cli.options import confirmed, json_option, selection_arguments
from lastcall.cli.outlet import say
from lastcall.cli.progress import trace_sinks, watched_progress
from lastcall.errors import ExitCode, Problem, Severity, UsageError, in_words
from lastcall.formats.json_text import to_json
from lastcall.formats.layout.columns import paragraph
from lastcall.formats.quantities import format_duration
from lastcall.formats.values import value
from lastcall.formats.visible_text import visible
from lastcall.guests.busy.busy_guests import BusyGuests
from lastcall.hooks.power.supplies import PowerQuestions
from lastcall.persistence.power.board import PowerBoard
from lastcall.persistence.power.called_off import CalledOff
from lastcall.persistence.power.outage import OutageFile
from lastcall.planning.selection import Selection, TheseGuests
from lastcall.report.text import as_text, problem_lines
from lastcall.runs.assembly import Parts, RunRequest, assemble, build_shutdown
from lastcall.runs.loading import Allowance, Loaded, load
from lastcall.runs.runner import perform
from lastcall.runs.shedding.choice import ShedChoice, Shedding
from lastcall.runs.shedding.earlier import shed_before
from lastcall.runs.shedding.outage import Outage, look_at_outage
from lastcall.systemd.jobs import stopping
from lastcall.systemd.unit_files.power_off import reboot_instead

_NOBODY = ShedChoice(guests={}, going=(), stages={}, staying={}, busy={})


@value
class _Seen:
    """What was chosen, in which outage, and why nobody is shed, if so."""

    choice: ShedChoice
    outage: Outage | None = None
    because: str = ""


@click.command("shed", short_help="Stop guests early while a battery carries the host; they come back with the mains.")
@selection_arguments
@click.option("--due", is_flag=True, help="Those whose `shed` says so by now, while a battery carries the host.")
@click.option("--cancel", is_flag=True, help="Shed nobody else in this outage, and bring back who was shed.")
@click.option("--dry-run", is_flag=True, help="Say who would be shed; nothing is touched.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask. Without a terminal nobody is ever asked.")
@json_option(ShedDocument)
@click.pass_obj
def shed_command(
    invocation: Invocation, chosen: Selection, *, due: bool, cancel: bool, dry_run: bool, yes: bool, as_json: bool
) -> int:
    """Stop guests early while a battery carries the host: those named, by name, UUID or quoted glob ('web*'), or with
    --due those whose `shed` says so by now.

    Nobody is forced off, nobody goes before those that run and need it, and everybody comes back: by `lastcall restore
    --cause shed`, which is what happens by itself when the mains are back, or at the next boot. With --due, who is busy
    or does not run is left alone, as is who was shed in this outage and started again.

    Exit code 0 also where nobody is due.
    """
    if cancel:
        if chosen or due or dry_run:
            raise UsageError("--cancel is about all that were shed", "leave all else out")
        return cancel_shedding(invocation, as_json=as_json)
    if not chosen and not due:
        raise UsageError("name the guests to shed, or give --due", "`lastcall plan --reason shed` shows the stages")
    # Voluntary: a configuration that is broken sheds nobody, whatever the last good one said.
    allowance = Allowance(RunKind.SHUTDOWN, invocation.started)
    loaded = load(invocation.config, Reason.SHED, allowance=allowance).for_reason(Reason.SHED)
    loop = asyncio.new_event_loop()
    request = RunRequest(kind=RunKind.SHUTDOWN, reason=Reason.SHED, rehearsal=True, sinks=trace_sinks(invocation))
    parts = assemble(loaded, request, loop)
    seen = loop.run_until_complete(_look(parts, chosen, due=due))
    stopped = None
    if seen.choice.going and not dry_run:
        say(*map(visible, _beside(seen)))
        if not yes and sys.stdin.isatty():
            names = " ".join(guest.name for guest in seen.choice.going)
            invocation = confirmed(invocation, f"Shed {names} now? They come back with the mains.")
        stopped = _shed(loaded, seen.choice, invocation)
    problems = parts.stream.story.report().problems
    if as_json:
        click.echo(to_json(_document(seen, stopped, problems), indent=1))
    else:
        click.echo(as_text(stopped, invocation.screen()) if stopped else "\n".join(_lines(seen, problems, invocation)))
    if stopped:
        return stopped.run.exit_code
    wrong = any(problem.severity is Severity.ERROR for problem in problems)
    return parts.stream.story.exit_code if wrong else ExitCode.OK


async def _look(parts: Parts, chosen: Selection, *, due: bool) -> _Seen:
    """Find out whom to shed; nobody is touched."""
    terms, paths = parts.context.terms, parts.settings.paths
    busy = BusyGuests(parts.hooks, parts.stream, terms, parts.loop)
    limited = parts.deadline.end != float("inf")
    shedding = Shedding(
        parts.inventory, parts.stream, busy, parallel=parts.settings.shutdown.parallel, limited=limited
    )  # fmt: skip
    if not due:
        return _Seen(await shedding.named(chosen))
    questions = PowerQuestions(parts.hooks, terms, parts.loop)
    outage = await look_at_outage(PowerBoard(paths.run), OutageFile(paths.run), questions)
    because = _why_nobody(outage, CalledOff(paths.run))
    if because:
        return _Seen(_NOBODY, outage, because)
    choice = await shedding.due(chosen, outage.power, _before(parts, outage))
    since = format_duration(round(outage.power.seconds))
    return _Seen(choice, outage, "" if choice.going else f"nobody is due after {since} on battery")


def _why_nobody(outage: Outage, called_off: CalledOff) -> str:
    if not outage.lasts:
        return "the mains are there: nobody is shed"
    if outage.policy.on_battery == "nothing":
        return "`on_battery` is nothing: nobody is shed"
    if called_off.counts_for(outage.began):
        return "shedding was called off in this outage: nobody else is shed by itself"
    return ""


def _before(parts: Parts, outage: Outage) -> dict[Key, str]:
    try:
        return dict(shed_before(parts.settings.paths.state / "runs", time.monotonic() - outage.began))
    except (OSError, TimeoutError) as error:
        message = f"who was shed already in this outage is not known: {in_words(error)}"
        parts.stream.problem("state", str(parts.settings.paths.state), message, severity=Severity.WARNING)
        return {}


def _shed(loaded: Loaded, choice: ShedChoice, invocation: Invocation) -> Report:
    stages = {key: str(stage) for key, stage in choice.stages.items()}
    chosen = TheseGuests(keys=frozenset(guest.key for guest in choice.going))
    build = partial(build_shutdown, chosen=chosen, stages=stages)
    with watched_progress(invocation) as sinks:
        request = RunRequest(
            kind=RunKind.SHUTDOWN, reason=Reason.SHED, sinks=sinks, stopping=stopping, reboots=reboot_instead,
            started=invocation.started,
        )  # fmt: skip
        report = perform(loaded, request, build, invocation.signals)
    if report.run.reason.voluntary:  # nobody logs in to a host that goes down
        refresh_login_line(report, loaded.settings, invocation.started)
    return report


def _document(seen: _Seen, stopped: Report | None, problems: tuple[Problem, ...]) -> ShedDocument:
    choice, outage = seen.choice, seen.outage
    facts = outage and OutageFacts(
        word=outage.word, seconds=round(outage.power.seconds, 1), charge=outage.power.charge,
        runtime=outage.power.runtime,
    )  # fmt: skip
    return ShedDocument(
        outage=facts,
        going=tuple(ShedGuest(**_who(one), stage=str(choice.stages.get(one.key, ""))) for one in choice.going),
        staying=tuple(StayingGuest(**_who(choice.guests[key]), why=why) for key, why in choice.staying.items()),
        coming=tuple(
            ComingStage(
                stage=str(one.stage), seconds=None if one.seconds is None else round(one.seconds, 1),
                guests=tuple(choice.guests[key].name for key in one.guests),
            )
            for one in choice.coming
        ),
        nobody_because=seen.because or None, stopped=stopped, restored=None, problems=problems,
    )  # fmt: skip


def _who(guest: Guest) -> dict[str, str]:
    return {"uri": guest.uri, "uuid": guest.uuid, "name": guest.name}


def _lines(seen: _Seen, problems: tuple[Problem, ...], invocation: Invocation) -> Iterator[str]:
    """What is said where nobody was touched."""
    screen = invocation.screen()
    for line in _told(seen):
        yield from paragraph(line, screen)
    for problem in dict.fromkeys(problems):
        yield from problem_lines(problem, screen)


def _told(seen: _Seen) -> Iterator[str]:
    for guest in seen.choice.going:
        stage = seen.choice.stages.get(guest.key)
        yield f"{guest.name}: shed{f' {stage}' if stage else ''}"
    yield from _beside(seen)
    if seen.because:
        yield seen.because
    for one in seen.choice.coming:
        names = ", ".join(seen.choice.guests[key].name for key in one.guests)
        when = "" if one.seconds is None else f", in {format_duration(round(one.seconds))}"
        yield f"next: {names} {one.stage}{when}"


def _beside(seen: _Seen) -> Iterator[str]:
    """What is said of guests beside whom is shed: who stays, and who is busy and goes as somebody has named it."""
    choice = seen.choice
    for key, why in choice.staying.items():
        yield f"{choice.guests[key].name} stays: {why}"
    for key, reasons in choice.busy.items():
        if key not in choice.staying:
            yield f"{choice.guests[key].name} is busy: {'; '.join(reasons)}"
