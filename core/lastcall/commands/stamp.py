"""`lastcall stamp`: what the unit's ExecStart runs."""

import os

import click

from lastcall.api.guests import Reason
from lastcall.cli import Invocation
from lastcall.duty import Duty
from lastcall.errors import ExitCode, NoPermission
from lastcall.loading import load
from lastcall.lock import Holder, RunLock
from lastcall.state import boot_id, open_state


@click.command("stamp")
@click.pass_obj
def command(invocation: Invocation) -> int:
    """Note that the host has booted and that lastcall is on duty. The systemd unit runs this; it touches no guest."""
    paths = load(invocation.config, Reason.OTHER).settings.paths  # a broken configuration must not hinder it
    lock = RunLock(paths.run)
    try:
        Duty(paths.run).begin()
        lock.take(Holder("stamp", Reason.BOOT.value, os.getpid()))
        state = open_state(paths.state)
        if state.stamp(boot_id()):
            state.save()
    except OSError as error:
        raise NoPermission(f"{error.filename} cannot be written: {error.strerror}", "run as root") from None
    finally:
        lock.release()
    return ExitCode.OK
