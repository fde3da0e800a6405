"""`lastcall announce`: tell a coming host stop what it does not know."""

import click

from lastcall.api.guests import Reason
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import DurationType
from lastcall.errors import ExitCode, UsageError
from lastcall.formats.quantities import format_duration
from lastcall.formats.visible_text import visible
from lastcall.persistence.announcement import LIFETIME, NoticeBoard, announce
from lastcall.persistence.mailbox import Request
from lastcall.persistence.refusals import refusals_told
from lastcall.runs.lock import RunLock

_REASONS = [reason.value for reason in Reason if not reason.voluntary]


@click.command("announce")
@click.option("--reason", type=click.Choice(_REASONS), help="Why the host is going to stop; `power`: the UPS runs low.")
@click.option(
    "--deadline", type=DurationType(), metavar="DURATION", help="How long from now the host has power, or patience."
)
@click.option(
    "--for", "lifetime", type=DurationType(), default=LIFETIME, metavar="DURATION",
    help="How long an announcement without a deadline counts; 10min by default.",
)  # fmt: skip
@click.option("--cancel", is_flag=True, help="Take it back: the power is back.")
@click.pass_obj
def announce_command(
    invocation: Invocation, reason: str | None, deadline: float | None, lifetime: float, *, cancel: bool
) -> int:
    """Tell the next host stop why it takes place and how long it may take. It stops nothing.

    For whoever knows more than systemd does, such as a UPS daemon just before it calls `poweroff`. A host stop that is
    under way learns it, too, also of more time, as long as its last resort has not begun. An announcement that has
    outlived its time is not heeded.
    """
    if cancel == bool(reason):
        raise UsageError("give --reason, or --cancel", "lastcall announce --reason power --deadline 90s")
    paths = invocation.places()
    board, lock = NoticeBoard(paths.run), RunLock(paths.run)
    if not reason:
        click.echo("taken back" if board.cancel() else "nothing was announced")
        _tell(lock, Request("", announced=True))
        return ExitCode.OK
    made = announce(Reason(reason), deadline, lifetime)
    board.put(made)
    told = f"{reason}" + ("" if deadline is None else f", over within {format_duration(deadline)} from now")
    click.echo(f"the next host stop is for {told}")
    _tell(lock, Request(reason, made.ends, announced=True))
    return ExitCode.OK


def _tell(lock: RunLock, request: Request) -> None:
    """Tell a host stop that is under way, and print what it makes of that."""
    with refusals_told(lock.path):
        answer = lock.tell(request)
    if answer:
        click.echo(visible(f"the one that is under way answers: {answer.message}"))
