"""`lastcall restore`."""

import click

from lastcall.api.guests import Reason, RunKind
from lastcall.cli import Invocation
from lastcall.commands.options import DurationType, json_option, only_output, progress


@click.command("restore")
@click.argument("guests", nargs=-1, metavar="[GUEST]...")
@click.option(
    "--deadline",
    type=DurationType(),
    metavar="DURATION",
    help="The run is over by then; overrides the configured deadline.",
)
@click.option(
    "--from-unit",
    is_flag=True,
    help="At boot: start what the last shutdown of the host stopped, and what is to run always.",
)
@json_option
@click.pass_obj
def command(
    invocation: Invocation, guests: tuple[str, ...], deadline: float | None, *, from_unit: bool, as_json: bool
) -> int:
    """Start the guests again that were running when they were shut down, or those named.

    A guest leaves the list only when it is back; run twice, it changes nothing. `lastcall status` shows the list. A
    guest that could not be started in several attempts is parked, and started only when it is named. By hand it starts
    all that wait; at boot only those that the shutdown just before has stopped, as others may run elsewhere by now.
    """
    from lastcall.assembly import RunRequest, perform
    from lastcall.loading import load
    from lastcall.report import text
    from lastcall.restore import Restore

    request = RunRequest(
        kind=RunKind.RESTORE,
        reason=Reason.BOOT if from_unit else Reason.MANUAL,
        deadline=deadline,
        sinks=progress(invocation),
        started=invocation.started,
    )
    with only_output(wanted=as_json):
        loaded = load(invocation.config)
        report = perform(loaded, request, lambda parts: Restore(parts, names=guests, at_boot=from_unit))
    click.echo(text.as_json(report) if as_json else text.as_text(report))
    return report.run.exit_code
