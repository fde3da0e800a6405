"""`lastcall shutdown`."""

import sys
from functools import partial

import click

from lastcall.api.guests import Reason, RunKind
from lastcall.api.results import Report
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import DurationType, confirmed, json_option, reason_option, selection_arguments
from lastcall.cli.progress import watched_progress
from lastcall.errors import ExitCode
from lastcall.planning.selection import Selection


@click.command("shutdown", short_help="Stop the guests, in order, and say what became of each.")
@selection_arguments
@reason_option(Reason.MANUAL)
@click.option(
    "--deadline",
    type=DurationType(some=True),
    metavar="DURATION",
    help="The run is over by then; overrides the configured deadline.",
)
@click.option("--force", is_flag=True, help="Let a manual run force guests off that do not stop by themselves.")
@click.option(
    "--yes-neighbours", is_flag=True, help="A manual run, also where a watched guest goes on that needs one of these."
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask. Without a terminal nobody is ever asked.")
@click.option("--from-unit", is_flag=True, help="Run by systemd as it stops the unit: only if the host really stops.")
@click.option(
    "--again", is_flag=True, help="With --from-unit: only if the run before was cut off, in what it has left."
)
@json_option(Report)
@click.pass_obj
def shutdown_command(
    invocation: Invocation,
    chosen: Selection,
    reason: str,
    deadline: float | None,
    *,
    force: bool,
    yes_neighbours: bool,
    yes: bool,
    from_unit: bool,
    again: bool,
    as_json: bool,
) -> int:
    """Stop the guests: all that are active, or those named, by name, UUID or quoted glob ('web*').

    Writes down which guests run before touching any, fires the hooks, asks each guest by its ladder of stop methods
    and waits until libvirt says that it is off. `lastcall plan` shows all of it beforehand. A manual run leaves guests
    running that do not stop by themselves, unless --force is given; one whose own ladder has `destroy` is forced off by
    that in any case.
    """
    from lastcall.cli.last_words import tell
    from lastcall.report.text import as_text, report_json

    if from_unit:
        from lastcall.cli.unit.host_stop import stop_host, stop_host_again

        report = (stop_host_again if again else stop_host)(invocation, deadline)
        return ExitCode.OK if report is None else tell(report, as_text(report, invocation.screen()), invocation)
    why = Reason(reason)
    # In a script or below a UPS daemon there is nobody to answer: a question would wait until the power is gone.
    if why.voluntary and not yes and sys.stdin.isatty():
        invocation = confirmed(invocation, f"Stop {chosen} now? (`lastcall plan` shows how)")
    report = stop_by_hand(invocation, chosen, why, deadline, force=force, yes_neighbours=yes_neighbours)
    return tell(report, report_json(report) if as_json else as_text(report, invocation.screen()), invocation)


def stop_by_hand(
    invocation: Invocation,
    chosen: Selection,
    why: Reason,
    deadline: float | None,
    *,
    force: bool,
    yes_neighbours: bool = False,
) -> Report:
    """Stop those chosen, as somebody wants it now."""
    from lastcall.cli.login_line import refresh_login_line
    from lastcall.runs.assembly.stories import build_shutdown
    from lastcall.runs.loading import Allowance, load
    from lastcall.runs.request import RunRequest
    from lastcall.runs.runner import perform
    from lastcall.systemd.jobs import stopping
    from lastcall.systemd.unit_files.power_off import reboot_instead

    allowance = Allowance(RunKind.SHUTDOWN, invocation.started, deadline)
    loaded = load(invocation.config, why, allowance=allowance).for_reason(why)
    build = partial(build_shutdown, chosen=chosen, force=force, yes_neighbours=yes_neighbours)
    with watched_progress(invocation, forces=force) as sinks:
        request = RunRequest(
            kind=RunKind.SHUTDOWN, reason=why, deadline=deadline, sinks=sinks, stopping=stopping,
            reboots=reboot_instead, started=invocation.started,
        )  # fmt: skip
        report = perform(loaded, request, build, invocation.signals)
    if report.run.reason.voluntary:  # nobody logs in to a host that goes down
        refresh_login_line(report, loaded.settings, invocation.started)
    return report
