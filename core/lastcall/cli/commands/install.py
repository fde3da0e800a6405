"""`lastcall install`: put lastcall on duty on this host."""

import asyncio
import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

import click

from lastcall.api.guests import Guest, Reason, RunKind
from lastcall.cli.documents.installing import InstallDocument, other_stopper, step_facts
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import json_option
from lastcall.config.load import parse
from lastcall.config.settings import Settings
from lastcall.errors import ExitCode, LastcallError, NoPermission, UsageError
from lastcall.formats.json_text import to_json
from lastcall.formats.visible_text import page, visible
from lastcall.hooks.discovery import Plugins
from lastcall.installation.choices import NOBODY, Choices
from lastcall.installation.install import CONFIG, Installation
from lastcall.installation.steps import InstallStep
from lastcall.persistence.refusals import refusals_told
from lastcall.runs.loading import load
from lastcall.systemd.systemctl import Systemctl, booted
from lastcall.systemd.units import program_path


@click.command("install", short_help="Put lastcall on duty.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option(
    "--replace",
    multiple=True,
    metavar="UNIT",
    help="Set aside a unit of yours that stops guests (graceful-shutdown.service), without running it.",
)
@click.option(
    "--take-over/--no-take-over",
    default=True,
    help="Take over from libvirt-guests (the default), or do nothing where it is on duty.",
)
@click.option(
    "--check-timer/--no-check-timer",
    default=None,
    help="Have `lastcall check` run every hour, as for metrics, or not any more; without either it stays as it was.",
)
@click.option(
    "--group",
    metavar="NAME",
    help="Let members of this group (libvirt, say) read status, reports and runs, and no configuration.",
)
@click.option("--no-group", is_flag=True, help="Let nobody but root read them, as it is without --group.")
@click.option(
    "--power-group",
    metavar="NAME",
    help="Let members of this group (nut, say) say `lastcall power line`, `battery` and `low`, and nothing else.",
)
@click.option("--no-power-group", is_flag=True, help="Let nobody but root say so, as it is without --power-group.")
@json_option(InstallDocument)
@click.pass_obj
def install_command(
    invocation: Invocation,
    replace: tuple[str, ...],
    *,
    dry_run: bool,
    take_over: bool,
    check_timer: bool | None,
    group: str | None,
    no_group: bool,
    power_group: str | None,
    no_power_group: bool,
    as_json: bool,
) -> int:
    """Put lastcall on duty: systemd units, folders, a commented configuration, shell completions.

    Takes over from libvirt-guests: what it is configured to do is written as our configuration, the guests on its list
    are taken to ours, and it is made harmless without being stopped, which would stop every guest. No guest is touched.
    Who else stops guests is named at the end. Run again, it brings files up to date. `lastcall uninstall` undoes it.

    Exit code 1 where something of libvirt-guests' settings could not be taken over, which standard error tells line by
    line: lastcall is on duty all the same, with the default in its place.
    """
    choices = Choices(
        check_timer=check_timer,
        readers=_group("group", group, nobody=no_group),
        speakers=_group("power-group", power_group, nobody=no_power_group),
    )
    installation = dataclasses.replace(prepare(invocation, replace), take_over=take_over, choices=choices)
    with refusals_told(Path("/etc")):
        steps = installation.plan()
    for step in steps:
        _announce(step, dry_run=dry_run, as_json=as_json)
        if not dry_run:
            do(step)
    # Last, so that it is seen: who goes on stopping guests, now that everything else is done.
    others = installation.others(dry_run=dry_run)
    for other in others:
        click.echo(page((f"! {other.where}: {other.message}", f"    → {other.remedy}")), err=True)
    duty = None if dry_run else installation.duty()
    if duty:
        click.echo(f"{duty}\nNext: `lastcall check`, `lastcall plan`.", err=as_json)
    lost = sum(len(step.lost) for step in steps)
    if lost:
        click.echo(f"Not all of libvirt-guests' settings could be taken over; see the {lost} above.", err=True)
    if as_json:
        problems = tuple(map(other_stopper, others))
        facts = InstallDocument(dry_run=dry_run, steps=step_facts(steps), duty=duty, problems=problems)
        click.echo(to_json(facts, indent=1))
    return ExitCode.NOT_AS_PLANNED if lost else ExitCode.OK


def _group(option: str, given: str | None, *, nobody: bool) -> str | None:
    if given is not None and (nobody or not given):
        raise UsageError(f"--{option} wants a name, and no --no-{option} beside it", "leave one of them out")
    return NOBODY if nobody else given


def prepare(invocation: Invocation, replace: tuple[str, ...] = (), *, reason: Reason = Reason.MANUAL) -> Installation:
    """What is there to be installed or taken away. Raises UsageError and NoPermission.

    A configuration that is broken raises ConfigInvalid, unless the `reason` is one that goes on without.
    """
    if invocation.config is not None:
        raise UsageError("the units use /etc/lastcall/config.yaml", "put your configuration there; leave --config out")
    if not booted():
        raise LastcallError("this host is not run by systemd", "call `lastcall shutdown` from what stops your host")
    if os.geteuid() != 0:
        raise NoPermission("only root can do this", "run as root")

    def settings(text: str | None) -> Settings:
        if text is None:
            return load(None, reason).settings
        document = parse(text, str(Path("/") / CONFIG))
        return Plugins(document.bootstrap).settings(document)

    def known() -> Mapping[str, Guest]:
        return _guests(invocation)

    return Installation(
        program=program_path(), settings=settings, systemctl=Systemctl(), replace=replace, known=known,
    )  # fmt: skip


def _guests(invocation: Invocation) -> dict[str, Guest]:
    """All guests by UUID, as far as libvirt answers."""
    from lastcall.runs.assembly.parts import assemble
    from lastcall.runs.request import RunRequest

    loop = asyncio.new_event_loop()
    request = RunRequest(kind=RunKind.RESTORE, reason=Reason.MANUAL, rehearsal=True)
    connections = assemble(load(invocation.config), request, loop).connections

    async def ask() -> list[Guest]:
        await connections.connect()
        return [*await connections.inactive(), *await connections.active()]

    return {guest.uuid: guest for guest in loop.run_until_complete(ask())}


def _announce(step: InstallStep, *, dry_run: bool, as_json: bool) -> None:
    """Say what is about to be done, and what of libvirt-guests' settings cannot be taken over."""
    click.echo(visible(f"{'would ' if dry_run else ''}{step.text}"), err=as_json)
    for note in step.notes:
        click.echo(visible(f"  {note}"), err=as_json)
    # Before it is done: were a later step to fail, the next run would find a configuration, and say nothing of it.
    for line in step.lost:
        click.echo(visible(line), err=True)


def do(step: InstallStep) -> None:
    """Do it; raises NoPermission where a file cannot be read or written."""
    with refusals_told(Path("/etc")):
        step.do()
