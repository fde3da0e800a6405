"""What systemd's units call, answered without a command line: the boot's stamp, the host's stop, the guests' return."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lastcall.api.guests import Reason
from lastcall.cli.invocation import Invocation
from lastcall.errors import ExitCode, NoPermission
from lastcall.persistence.boot_stamp import BootStamp, boot_id
from lastcall.persistence.last_line import AskedByVirsh
from lastcall.persistence.state import open_state
from lastcall.runs.lock import Holder, RunLock

if TYPE_CHECKING:
    from lastcall.api.results import Report


def answer(words: Sequence[str], invocation: Invocation) -> int:
    """Do what `lastcall WORDS` is for, and return its exit code; the words are those of `UNIT_CALLS`."""
    if words[0] == "stamp":
        return note_boot(invocation)
    # Not at the top: a poweroff that comes while ExecStart runs kills it, and systemd skips ExecStop then. The stamp
    # loads no more than it needs.
    from lastcall.cli import from_unit

    if words[0] == "restore":
        return _told(from_unit.bring_back(invocation, None), invocation, nothing="nothing is due")
    stop = from_unit.stop_host_again if "--again" in words else from_unit.stop_host
    return _told(stop(invocation, None), invocation)


def note_boot(invocation: Invocation) -> int:
    """Note that the host has booted and that lastcall is on duty. Raises NoPermission, RunLocked, StateInvalid."""
    paths = invocation.places()  # a broken configuration must not hinder it
    lock = RunLock(paths.run)
    try:
        BootStamp(paths.run).begin()
        lock.take(Holder("stamp", Reason.BOOT.value, os.getpid()))
        state = open_state(paths.state)
        # By this the restore knows what the boot just before has left; older entries may run elsewhere by now.
        first, by_virsh = state.stamp(boot_id()), AskedByVirsh(paths.state)
        if by_virsh.take_over(state) or first:
            state.save()
        by_virsh.remove()
    except OSError as error:
        raise NoPermission(f"{error.filename} cannot be written: {error.strerror}", "run as root") from None
    finally:
        lock.release()
    return ExitCode.OK


def _told(report: "Report | None", invocation: Invocation, nothing: str = "") -> int:
    if report is None:
        if nothing:
            print(nothing, flush=True)
        return ExitCode.OK
    from lastcall.cli.last_words import tell
    from lastcall.report.text import as_text

    return tell(report, as_text(report), invocation)
