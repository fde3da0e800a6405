"""`lastcall shutdown`."""

import click

from lastcall.api.guests import Reason, RunKind
from lastcall.cli import Invocation
from lastcall.commands.options import DurationType, json_option, only_output, progress, reason_option


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
@json_option
@click.pass_obj
def command(
    invocation: Invocation, guests: tuple[str, ...], reason: str, deadline: float | None, *, force: bool, as_json: bool
) -> int:
    """Stop the guests: all that are active, or those named.

    Writes down which guests run before touching any, fires the hooks, asks each guest by its ladder of stop methods
    and waits until libvirt says that it is off. `lastcall plan` shows all of it beforehand. A manual run leaves guests
    running that do not stop by themselves, unless --force is given.
    """
    from lastcall.assembly import RunRequest, perform
    from lastcall.loading import load
    from lastcall.report import text
    from lastcall.shutdown import Shutdown

    why = Reason(reason)
    request = RunRequest(
        kind=RunKind.SHUTDOWN, reason=why, deadline=deadline, sinks=progress(invocation), started=invocation.started
    )
    with only_output(wanted=as_json):
        loaded = load(invocation.config, why).for_reason(why)
        report = perform(loaded, request, lambda parts: Shutdown(parts, names=guests, force=force))
    click.echo(text.as_json(report) if as_json else text.as_text(report))
    return report.run.exit_code
