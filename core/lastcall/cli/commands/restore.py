"""`lastcall restore`."""

import sys
from functools import partial

import click

from lastcall.api.guests import Reason, RunKind
from lastcall.api.results import Report
from lastcall.cli.documents.reports import RestoreDocument
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import DurationType, confirmed, json_option, listed_arguments
from lastcall.cli.progress import watched_progress
from lastcall.errors import ExitCode, UsageError
from lastcall.persistence.fleet.maintenance import InMaintenance
from lastcall.planning.selection import Selection


@click.command("restore", short_help="Start the guests again that a shutdown has stopped.")
@listed_arguments
@click.option(
    "--deadline",
    type=DurationType(some=True),
    metavar="DURATION",
    help="The run is over by then; overrides the configured deadline.",
)
@click.option(
    "--from-unit",
    is_flag=True,
    help="At boot: start what the last shutdown of the host stopped, and what is to run always.",
)
@click.option(
    "--fresh", is_flag=True, help="Remove the saved images of those named first: what was in their memory is lost."
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask. Without a terminal nobody is ever asked.")
@json_option(RestoreDocument)
@click.pass_obj
def restore_command(
    invocation: Invocation,
    chosen: Selection,
    deadline: float | None,
    *,
    from_unit: bool,
    fresh: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Start the guests again that were running when they were shut down, or those named, by name, UUID or quoted glob.

    A guest leaves the list only when it is back; run twice, it changes nothing. `lastcall status` shows the list. A
    guest that could not be started in several attempts is parked, and started only when it is named. By hand it starts
    all that wait; at boot only those that the shutdown just before has stopped, as others may run elsewhere by now.
    One whose saved image does not load is started without it by --fresh. With --cause shed it is about those that were
    stopped while a battery carried the host.
    """
    from lastcall.cli.last_words import tell
    from lastcall.formats.json_text import to_json
    from lastcall.report import text

    if from_unit and chosen:
        raise UsageError("--from-unit restores what is due; it takes no names", "leave one of the two out")
    if fresh and not chosen.tells_guests:
        raise UsageError("--fresh takes the names of guests: whoever is started so loses its memory", "name them")
    if fresh and not yes and sys.stdin.isatty():
        question = f"Start {chosen} without saved images? What was in their memory is lost."
        invocation = confirmed(invocation, question)
    if not (from_unit or _is_choice(chosen)):
        _refuse_in_maintenance(invocation, deadline)
    report = _at_boot(invocation, deadline) if from_unit else restore_by_hand(invocation, chosen, deadline, fresh=fresh)
    if report is None:
        click.echo(to_json(RestoreDocument(), indent=1) if as_json else "nothing is due")
        return ExitCode.OK
    code = tell(report, text.report_json(report) if as_json else text.as_text(report, invocation.screen()), invocation)
    if not from_unit:
        return code
    from lastcall.cli.unit.restore_at_boot import or_waiting

    return or_waiting(code, invocation)


def _refuse_in_maintenance(invocation: Invocation, deadline: float | None) -> None:
    from lastcall.runs.fleet.maintenance import lasting_maintenance

    maintenance = lasting_maintenance(invocation.places().state, deadline)
    if maintenance:
        raise InMaintenance(maintenance)


def _is_choice(chosen: Selection) -> bool:
    """Whether guests are meant that may come back while others stay away: by name, or as the mains are back."""
    return chosen.tells_guests or tuple(chosen.causes) == (Reason.SHED.value,)


def _at_boot(invocation: Invocation, deadline: float | None) -> Report | None:
    from lastcall.cli.unit.restore_at_boot import bring_back

    return bring_back(invocation, deadline)


def restore_by_hand(invocation: Invocation, chosen: Selection, deadline: float | None, *, fresh: bool) -> Report:
    """Bring back those chosen, as somebody wants it now."""
    from lastcall.cli.login_line import refresh_login_line
    from lastcall.runs.assembly.stories import build_restore
    from lastcall.runs.loading import Allowance, load
    from lastcall.runs.request import RunRequest
    from lastcall.runs.runner import perform

    loaded = load(invocation.config, allowance=Allowance(RunKind.RESTORE, invocation.started, deadline))
    # Who brings back what was shed ends an outage: reports, and plugins that are meant for it, know it by that.
    reason = Reason.SHED if tuple(chosen.causes) == (Reason.SHED.value,) else Reason.MANUAL
    build = partial(build_restore, chosen=chosen, fresh=fresh)
    with watched_progress(invocation) as sinks:
        request = RunRequest(
            kind=RunKind.RESTORE, reason=reason, deadline=deadline, sinks=sinks, started=invocation.started
        )
        report = perform(loaded, request, build, invocation.signals)
    refresh_login_line(report, loaded.settings, invocation.started)
    return report
