"""`lastcall reboot`: reboot this host when no other host of its group is down."""

import sys

import click

from lastcall.cli.commands.lock import lock_of, take_in_time
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import DurationType, confirmed
from lastcall.errors import ExitCode, LastcallError
from lastcall.formats.layout.columns import paragraph
from lastcall.persistence.fleet.held_lock import lock_words


@click.command("reboot", short_help="Reboot this host, when no other host of its group is down.")
@click.option(
    "--wait", "patience", type=DurationType(), default=0.0, metavar="DURATION",
    help="Ask again for so long while others hold the lock.",
)  # fmt: skip
@click.option("--anyway", is_flag=True, help="Also where the lock server does not answer; not where others hold it.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask. Without a terminal nobody is ever asked.")
@click.pass_obj
def reboot_command(invocation: Invocation, patience: float, *, anyway: bool, yes: bool) -> int:
    """Take the lock of `lastcall lock`, then have systemd reboot this host. Once every guest is back, it is given back.

    Whoever stops this host in another way, or takes the power from it, is not held by any lock.

    Exit code 5: others hold the lock, or its server does not answer.
    """
    lock = lock_of(invocation)
    if not yes and sys.stdin.isatty():
        invocation = confirmed(invocation, "Reboot this host now?")
    before = lock.held
    try:
        told = lock_words(take_in_time(lock, patience))
    except LastcallError as error:
        from lastcall.runs.fleet.lock_server import LockUnanswered

        if not isinstance(error, LockUnanswered):
            raise
        if not anyway:
            error.remedy = "--anyway reboots all the same"
            raise
        told = f"reboots without the fleet lock, as its server does not answer: {error}"
    click.echo("\n".join(paragraph(told, invocation.screen())))
    from lastcall.systemd.systemctl import Systemctl, SystemctlFailed

    try:
        Systemctl().tell("reboot")
    except SystemctlFailed:
        # This host stays up: the others need not wait for a boot that does not come.
        if before is None and lock.held:
            lock.give_back()
        raise
    return ExitCode.OK
