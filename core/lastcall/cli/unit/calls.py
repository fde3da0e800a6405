"""What systemd's units call, answered without a command line: the boot's stamp, the host's stop, the guests' return,
and a word about the power.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lastcall.api.guests import Reason
from lastcall.cli.invocation import Invocation
from lastcall.errors import ExitCode, Problem
from lastcall.persistence.boot_stamp import BootStamp, boot_id
from lastcall.persistence.files import give_to_readers
from lastcall.persistence.last_line import AskedByVirsh
from lastcall.persistence.refusals import refusals_told
from lastcall.persistence.state import open_state
from lastcall.runs.lock import RunLock
from lastcall.runs.meanwhile.holder import Holder

if TYPE_CHECKING:
    from lastcall.api.results import Report


def answer(words: Sequence[str], invocation: Invocation) -> int:
    """Do what `lastcall WORDS` is for, and return its exit code; the words are those of `UNIT_CALLS`."""
    if words[0] == "stamp":
        return note_boot(invocation)
    if words[0] == "power":
        from lastcall.cli.power.door import answer_peer

        return answer_peer(invocation)
    # Not at the top: a poweroff that comes while ExecStart runs kills it, and systemd skips ExecStop then. The stamp
    # loads no more than it needs.
    if words[0] == "restore":
        from lastcall.cli.unit.restore_at_boot import bring_back, or_waiting

        report = bring_back(invocation, None)
        code = _told(report, invocation, nothing="nothing is due")
        return or_waiting(code, invocation) if report else code
    from lastcall.cli.unit.host_stop import stop_host, stop_host_again

    stop = stop_host_again if "--again" in words else stop_host
    return _told(stop(invocation, None), invocation)


def note_boot(invocation: Invocation) -> int:
    """Note that the host has booted and that lastcall is on duty. Raises NoPermission, RunLocked, StateInvalid."""
    paths = invocation.places()  # a broken configuration must not hinder it
    lock = RunLock(paths.run)
    try:
        with refusals_told(paths.state):
            BootStamp(paths.run).begin()
            give_to_readers(paths.run, of=paths.state)
            lock.take(Holder("stamp", Reason.BOOT.value, os.getpid()))
            _bring_up_to_date(paths.state)
    finally:
        lock.release()
    return ExitCode.OK


def _bring_up_to_date(folder: Path) -> None:
    """Note the boot on the list of guests, and who was asked by virsh at the end of the one before. Raises OSError."""
    state, by_virsh = open_state(folder), AskedByVirsh(folder)
    # Told here, as the list that is written now has nothing doubtful on it any more.
    _tell(state.distrust)
    # By this the restore knows what the boot just before has left; older entries may run elsewhere by now.
    first = state.stamp(boot_id())
    if by_virsh.take_over(state) or first:
        state.save()
    _tell(by_virsh.put_away())


def _tell(problem: Problem | None) -> None:
    if problem:
        from lastcall.cli.outlet import say_problem

        say_problem(problem)


def _told(report: "Report | None", invocation: Invocation, nothing: str = "") -> int:
    if report is None:
        if nothing:
            print(nothing, flush=True)
        return ExitCode.OK
    from lastcall.cli.last_words import tell
    from lastcall.report.text import as_text

    return tell(report, as_text(report), invocation)
