"""`lastcall shed`: stop guests early, so that a battery carries the others for longer."""

import asyncio
import sys
from functools import partial

import click

from lastcall.api.guests import Reason, RunKind
from lastcall.api.results import Report
from lastcall.cli.commands.shed_cancel import cancel_shedding
from lastcall.cli.documents.power.shed import ShedDocument
from lastcall.cli.invocation import Invocation
from lastcall.cli.login_line import refresh_login_line
from lastcall.cli.options import confirmed, json_option, selection_arguments
from lastcall.cli.outlet import say
from lastcall.cli.power.shed_look import look_whom_to_shed
from lastcall.cli.power.shed_words import beside_lines, shed_document, shed_lines
from lastcall.cli.progress import trace_sinks, watched_progress
from lastcall.errors import ExitCode, Severity, UsageError
from lastcall.formats.json_text import to_json
from lastcall.formats.visible_text import visible
from lastcall.planning.selection import Selection, TheseGuests
from lastcall.report.text import as_text
from lastcall.runs.assembly.parts import assemble
from lastcall.runs.assembly.stories import build_shutdown
from lastcall.runs.loading import Allowance, Loaded, load
from lastcall.runs.request import RunRequest
from lastcall.runs.runner import perform
from lastcall.runs.shedding.choice import ShedChoice
from lastcall.systemd.jobs import stopping
from lastcall.systemd.unit_files.power_off import reboot_instead


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
    seen = loop.run_until_complete(look_whom_to_shed(parts, chosen, due=due))
    stopped = None
    if seen.choice.going and not dry_run:
        say(*map(visible, beside_lines(seen)))
        if not yes and sys.stdin.isatty():
            names = " ".join(map(seen.choice.called.of, seen.choice.going))
            invocation = confirmed(invocation, f"Shed {names} now? They come back with the mains.")
        stopped = _shed(loaded, seen.choice, invocation)
    problems, screen = parts.stream.story.report().problems, invocation.screen()
    if as_json:
        click.echo(to_json(shed_document(seen, stopped, problems), indent=1))
    else:
        click.echo(as_text(stopped, screen) if stopped else "\n".join(shed_lines(seen, problems, screen)))
    if stopped:
        return stopped.run.exit_code
    wrong = any(problem.severity is Severity.ERROR for problem in problems)
    return parts.stream.story.exit_code if wrong else ExitCode.OK


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
