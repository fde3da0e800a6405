"""`lastcall maintenance`: the guests of this host stay away, over boots, until that is over."""

import sys

import click

from lastcall.api.results import Report
from lastcall.cli.documents.fleet.maintenance import MaintenanceDocument
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import DurationType, SuggestingGroup, confirmed, json_option
from lastcall.errors import ExitCode
from lastcall.formats.json_text import to_json
from lastcall.formats.layout.columns import paragraph
from lastcall.persistence.fleet.maintenance import END, MaintenanceFile

_OVER = "this host is not in maintenance"


@click.group("maintenance", cls=SuggestingGroup, short_help="Keep this host's guests away, over boots, until its end.")
def maintenance_command() -> None:
    """Keep the guests of this host away while somebody works on it, over however many boots, until `end`.

    `lastcall status` shows that it lasts, and so does the line at login. It takes no lock: see `lastcall lock`.
    """


@maintenance_command.command("begin", short_help="Stop the guests; they stay away until `end`.")
@click.option(
    "--deadline", type=DurationType(some=True), metavar="DURATION", help="The run that stops them is over by then."
)
@click.option("--force", is_flag=True, help="Let guests be forced off that do not stop by themselves.")
@click.option("--yes-neighbours", is_flag=True, help="Also those that guests of other hosts need.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask. Without a terminal nobody is ever asked.")
@json_option(MaintenanceDocument)
@click.pass_obj
def maintenance_begin(
    invocation: Invocation, deadline: float | None, *, force: bool, yes_neighbours: bool, yes: bool, as_json: bool
) -> int:
    """Stop the guests as `lastcall shutdown` does, and keep away whoever goes off by it, or with the host, until `end`.

    Who does not stop is left running, and told. Those that were off before are not brought back by `end` either.
    """
    from lastcall.api.guests import Reason
    from lastcall.cli.commands.shutdown import stop_by_hand
    from lastcall.errors import LastcallError
    from lastcall.planning.selection import EVERYBODY
    from lastcall.runs.fleet.maintenance import begin_maintenance
    from lastcall.runs.loading import load

    settings = load(invocation.config).settings
    if not yes and sys.stdin.isatty():
        invocation = confirmed(invocation, "Stop all running guests of this host now, and keep them away?")
    file = MaintenanceFile(settings.paths.state)
    new = begin_maintenance(settings)
    try:
        report = stop_by_hand(
            invocation, EVERYBODY, Reason.MANUAL, deadline, force=force, yes_neighbours=yes_neighbours
        )
    except LastcallError:
        if new:  # nobody was touched
            file.remove()
        raise
    return _tell(invocation, file, report, as_json=as_json)


@maintenance_command.command("end", short_help="Bring the guests back that were kept away.")
@click.option(
    "--deadline", type=DurationType(some=True), metavar="DURATION", help="The run that starts them is over by then."
)
@json_option(MaintenanceDocument)
@click.pass_obj
def maintenance_end(invocation: Invocation, deadline: float | None, *, as_json: bool) -> int:
    """Bring back whoever was stopped or moved since `begin`, in their order. The lock for reboots is given back then.

    Who cannot be brought back waits like any other: `lastcall status` shows why.
    """
    from lastcall.cli.commands.restore import restore_by_hand
    from lastcall.planning.selection import TheseGuests
    from lastcall.runs.fleet.maintenance import end_maintenance
    from lastcall.runs.loading import load

    settings = load(invocation.config).settings
    kept = end_maintenance(settings)
    report = None if kept is None else restore_by_hand(invocation, TheseGuests(keys=kept), deadline, fresh=False)
    return _tell(invocation, MaintenanceFile(settings.paths.state), report, as_json=as_json)


def _tell(invocation: Invocation, file: MaintenanceFile, report: Report | None, *, as_json: bool) -> int:
    from lastcall.cli.last_words import tell
    from lastcall.report.text import as_text

    maintenance = file.read()
    found = MaintenanceDocument(since=maintenance and maintenance.since, report=report)
    words = f"{maintenance.words}; {END}" if maintenance else _OVER
    line = "\n".join(paragraph(words, invocation.screen()))
    if report is None:
        click.echo(to_json(found, indent=1) if as_json else line)
        return ExitCode.OK
    text = to_json(found, indent=1) if as_json else f"{as_text(report, invocation.screen())}\n{line}"
    return tell(report, text, invocation)
