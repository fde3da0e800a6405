"""`lastcall shutdown`."""

import sys
from typing import TYPE_CHECKING

import click

from lastcall.api.guests import Reason, RunKind
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import DurationType, json_option, only_output, reason_option
from lastcall.cli.progress import progress_sinks
from lastcall.errors import ExitCode

if TYPE_CHECKING:
    from lastcall.api.results import Report


@click.command("shutdown")
@click.argument("guests", nargs=-1, metavar="[GUEST]...")
@reason_option
@click.option(
    "--deadline",
    type=DurationType(),
    metavar="DURATION",
    help="The run is over by then; overrides the configured deadline.",
)
@click.option("--force", is_flag=True, help="Let a manual run force guests off that do not stop by themselves.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask. Without a terminal nobody is ever asked.")
@click.option("--from-unit", is_flag=True, help="Run by systemd as it stops the unit: only if the host really stops.")
@click.option(
    "--again", is_flag=True, help="With --from-unit: only if the run before was cut off, in what it has left."
)
@json_option
@click.pass_obj
def shutdown_command(
    invocation: Invocation,
    guests: tuple[str, ...],
    reason: str,
    deadline: float | None,
    *,
    force: bool,
    yes: bool,
    from_unit: bool,
    again: bool,
    as_json: bool,
) -> int:
    """Stop the guests: all that are active, or those named.

    Writes down which guests run before touching any, fires the hooks, asks each guest by its ladder of stop methods
    and waits until libvirt says that it is off. `lastcall plan` shows all of it beforehand. A manual run leaves guests
    running that do not stop by themselves, unless --force is given.
    """
    from lastcall.report import text
    from lastcall.runs.assembly import RunRequest, build_shutdown
    from lastcall.runs.loading import load
    from lastcall.runs.runner import perform

    if from_unit:
        from lastcall.cli.from_unit import stop_host, stop_host_again

        report = (stop_host_again if again else stop_host)(invocation, deadline)
        return ExitCode.OK if report is None else _tell(report)
    why = Reason(reason)
    # In a script or below a UPS daemon there is nobody to answer: a question would wait until the power is gone.
    if why.voluntary and not yes and sys.stdin.isatty():
        whom = " ".join(guests) or "all running guests of this host"
        click.confirm(f"Stop {whom} now? (`lastcall plan` shows how)", abort=True, err=True)
    request = RunRequest(
        kind=RunKind.SHUTDOWN,
        reason=why,
        deadline=deadline,
        sinks=progress_sinks(invocation),
        started=invocation.started,
    )
    with only_output(wanted=as_json):
        loaded = load(invocation.config, why).for_reason(why)
        report = perform(loaded, request, lambda parts: build_shutdown(parts, names=guests, force=force))
    if as_json:
        click.echo(text.report_json(report))
        return report.run.exit_code
    return _tell(report)


def _tell(report: "Report") -> int:
    from lastcall.report import text

    click.echo(text.as_text(report))
    return report.run.exit_code
