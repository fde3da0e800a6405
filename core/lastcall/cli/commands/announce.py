"""`lastcall announce`: tell a coming host stop what it does not know."""

import click

from lastcall.api.guests import Reason
from lastcall.cli.documents.state import AnnounceDocument
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import DurationType, json_option
from lastcall.errors import ExitCode, UsageError
from lastcall.formats.json_text import to_json
from lastcall.formats.quantities import format_duration
from lastcall.formats.visible_text import page
from lastcall.persistence.announcement import LIFETIME, NoticeBoard, announce
from lastcall.persistence.mailbox import Request
from lastcall.persistence.refusals import refusals_told
from lastcall.runs.lock import RunLock

_REASONS = [reason.value for reason in Reason if not reason.voluntary]


@click.command("announce", short_help="Tell the next host stop why it takes place, and how long it may take.")
@click.option("--reason", type=click.Choice(_REASONS), help="Why the host is going to stop; `power`: the UPS runs low.")
@click.option(
    "--deadline",
    type=DurationType(some=True),
    metavar="DURATION",
    help="How long from now the host has power, or patience.",
)
@click.option(
    "--for", "lifetime", type=DurationType(some=True), default=LIFETIME, metavar="DURATION",
    help="How long an announcement without a deadline counts; 10min by default.",
)  # fmt: skip
@click.option("--cancel", is_flag=True, help="Take it back: the power is back.")
@json_option(AnnounceDocument)
@click.pass_obj
def announce_command(
    invocation: Invocation, reason: str | None, deadline: float | None, lifetime: float, *, cancel: bool, as_json: bool
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
    made, taken_back = announce(Reason(reason), deadline, lifetime) if reason else None, False
    if made:
        board.put(made)
    else:
        taken_back = board.cancel()
    with refusals_told(lock.path):  # a host stop that is under way is told, too
        told = lock.tell(Request(made.reason, made.ends, announced=True) if made else Request("", announced=True))
    facts = AnnounceDocument(announced=made, taken_back=taken_back, answer=told.message if told else None)
    click.echo(to_json(facts, indent=1) if as_json else _text(facts, deadline))
    return ExitCode.OK


def _text(facts: AnnounceDocument, deadline: float | None) -> str:
    within = "" if deadline is None else f", over within {format_duration(deadline)} from now"
    if facts.announced:
        lines = [f"the next host stop is for {facts.announced.reason}{within}"]
    else:
        lines = ["taken back" if facts.taken_back else "nothing was announced"]
    answered = [] if facts.answer is None else [f"the one that is under way answers: {facts.answer}"]
    return page([*lines, *answered])
