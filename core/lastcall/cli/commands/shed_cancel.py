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
from lastcall.errors import ExitCode, LastcallError, RunLocked
from lastcall.formats.json_text import to_json
from lastcall.persistence.announcement import Announcement, NoticeBoard
from lastcall.persistence.power.called_off import CalledOff
from lastcall.persistence.refusals import refusals_told
from lastcall.planning.selection import Selection
from lastcall.report.text import as_text
from lastcall.runs.lock import RunLock
from lastcall.runs.shedding.shed_guests import shed_guests
from lastcall.systemd.jobs import stopping


def cancel_shedding(invocation: Invocation, *, as_json: bool) -> int:
    """Do it, say what became of everybody, and return the exit code of the restore."""
    paths = invocation.places(strict=True)
    lock, board = RunLock(paths.run), NoticeBoard(paths.run)
    announced = board.read()
    # First: the next look for whom to shed must not begin where this one has ended.
    CalledOff(paths.run).note()
    restored = None
    while restored is None:
        _end_run(lock)
        if shed_guests(paths.state) == []:
            # A run that starts nobody would stand among those that people look at.
            click.echo(
                to_json(_document(None), indent=1)
                if as_json
                else "shedding is called off; nobody waits to be brought back"
            )
            return ExitCode.OK
        _require_power(board, announced)
        try:
            restored = _bring_back(invocation)
        except RunLocked:
            # It had looked for whom to shed before that was called off, and has begun since.
            found = lock.under_way()
            if found is None or not found.sheds:
                raise
    click.echo(to_json(_document(restored), indent=1) if as_json else as_text(restored, invocation.screen()))
    return restored.run.exit_code


def _require_power(board: NoticeBoard, before: Announcement | None) -> None:
    """Raise LastcallError where guests that are started now would be stopped in a moment, or overlooked then."""
    if stopping():
        raise LastcallError("nobody is brought back: the host stops meanwhile", "they come back with it")
    announced = board.read()
    # The last word counts: who calls it off although the battery is low already means it.
    if announced and announced != before and announced.reason == Reason.POWER.value:
        raise LastcallError("nobody is brought back: the battery is low by now", "they come back with the mains")


def _bring_back(invocation: Invocation) -> Report:
    chosen = Selection(causes=(Reason.SHED.value,))
    return restore_by_hand(replace(invocation, started=time.monotonic()), chosen, None, fresh=False)


def _end_run(lock: RunLock) -> None:
    """Have a run that sheds guests ask nobody else, and wait until it has seen off those that it has asked."""
    with refusals_told(lock.path):
        told = lock.call_off()
    if told:
        holder, answer = told
        say(f"the run that is under way answers: {answer.message}")
        lock.outlast(holder)


def _document(restored: Report | None) -> ShedDocument:
    return ShedDocument(
        outage=None, going=(), staying=(), coming=(), nobody_because="shedding was called off", stopped=None,
        restored=restored, problems=(),
    )  # fmt: skip
