"""`lastcall stamp`: what the unit's ExecStart runs."""

import os

import click

from lastcall.api.guests import Reason
from lastcall.cli.invocation import Invocation
from lastcall.errors import ExitCode, NoPermission
from lastcall.persistence.boot_stamp import BootStamp, boot_id
from lastcall.persistence.state import open_state
from lastcall.runs.loading import load
from lastcall.runs.lock import Holder, RunLock


@click.command("stamp")
@click.pass_obj
def stamp_command(invocation: Invocation) -> int:
    """Note that the host has booted and that lastcall is on duty. The systemd unit runs this; it touches no guest."""
    paths = load(invocation.config, Reason.OTHER).settings.paths  # a broken configuration must not hinder it
    lock = RunLock(paths.run)
    try:
        BootStamp(paths.run).begin()
        lock.take(Holder("stamp", Reason.BOOT.value, os.getpid()))
        state = open_state(paths.state)
        if state.stamp(boot_id()):
            state.save()
    except OSError as error:
        raise NoPermission(f"{error.filename} cannot be written: {error.strerror}", "run as root") from None
    finally:
        lock.release()
    return ExitCode.OK
