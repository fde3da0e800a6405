"""`lastcall shed --cancel`: nobody else is shed in this outage, and who was is brought back."""

import time
from dataclasses import replace

import click

from lastcall.api.guests import Reason
from lastcall.api.results import Report
from lastcall.cli.commands.restore import restore_by_hand
from lastcall.cli.documents.power.shed import ShedDocument
from lastcall.cli.invocation import Invocation
from lastcall.cli.outlet import say
from lastcall.errors import LastcallError
from lastcall.formats.json_text import to_json
from lastcall.persistence.power.called_off import CalledOff
from lastcall.persistence.refusals import refusals_told
from lastcall.planning.selection import Selection
from lastcall.report.text import as_text
from lastcall.runs.lock import RunLock
from lastcall.systemd.jobs import stopping


def cancel_shedding(invocation: Invocation, *, as_json: bool) -> int:
    """Do it, say what became of everybody, and return the exit code of the restore."""
    paths = invocation.places(strict=True)
    # First: the next look for whom to shed must not begin where this one has ended.
    CalledOff(paths.run).note()
    _end_run(RunLock(paths.run))
    if stopping():
        # What a host that goes down has begun to start is stopped with it, unless it is overlooked.
        raise LastcallError("nobody is brought back: the host stops meanwhile", "they come back with it")
    chosen = Selection(causes=(Reason.SHED.value,))
    restored = restore_by_hand(replace(invocation, started=time.monotonic()), chosen, None, fresh=False)
    click.echo(to_json(_document(restored), indent=1) if as_json else as_text(restored, invocation.screen()))
    return restored.run.exit_code


def _end_run(lock: RunLock) -> None:
    """Have a run that sheds guests ask nobody else, and wait until it has seen off those that it has asked."""
    with refusals_told(lock.path):
        told = lock.call_off()
    if told:
        holder, answer = told
        say(f"the run that is under way answers: {answer.message}")
        lock.outlast(holder)


def _document(restored: Report) -> ShedDocument:
    return ShedDocument(
        outage=None, going=(), staying=(), coming=(), nobody_because="shedding was called off", stopped=None,
        restored=restored, problems=(),
    )  # fmt: skip
