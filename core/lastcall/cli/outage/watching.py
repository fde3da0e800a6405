"""Puts the watch of an outage together: plugins, files, processes, signals; one watch at a time."""

import asyncio
import fcntl
import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from lastcall.api.results import FAILURES
from lastcall.cli.invocation import Invocation
from lastcall.cli.outage.real_host import RealHost
from lastcall.cli.outage.watch import OutageWatch
from lastcall.cli.outlet import say
from lastcall.cli.power.asking import open_questions
from lastcall.errors import ExitCode, RunLocked
from lastcall.persistence.files import PRIVATE, public_folder
from lastcall.persistence.power.board import PowerBoard
from lastcall.persistence.power.outage import OutageFile
from lastcall.persistence.refusals import refusals_told
from lastcall.records.records import HookEnded, ProblemFound, Record
from lastcall.report.narrator import Narrator

_MOST_LINES = 1000  # of what goes wrong with plugins


def watch_outage(invocation: Invocation) -> int:
    """Watch until it is over. Raises RunLocked where somebody does already, NoPermission, and ConfigInvalid for a
    broken file that somebody has named.
    """
    places = invocation.places()
    loop = asyncio.new_event_loop()
    with _alone(places.run):
        questions = open_questions(invocation.config, loop, _Told().take)
        host = RealHost(places, invocation.config)
        board, file = PowerBoard(places.run, loop.time), OutageFile(places.run)
        watch = OutageWatch(questions, host, board, file, loop.time, say)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, watch.end)
        loop.run_until_complete(watch.go())
    return ExitCode.OK


class _Told:
    """What goes wrong with plugins, once: they are asked every few seconds, and fail as often."""

    def __init__(self) -> None:
        self._narrator, self._said = Narrator(), set[str]()

    def take(self, record: Record) -> None:
        """A sink."""
        bad = isinstance(record, HookEnded) and record.record.result in FAILURES
        line = self._narrator.line(record) if bad or isinstance(record, ProblemFound) else None
        if line and line not in self._said and len(self._said) < _MOST_LINES:
            self._said.add(line)
            say(line)


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """Within, nobody else watches. Raises RunLocked, NoPermission."""
    path = folder / "outage.lock"
    with refusals_told(path):
        public_folder(folder)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(path, flags, PRIVATE)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunLocked("the outage is watched already", "`systemctl status lastcall-outage`") from None
        yield
    finally:
        os.close(descriptor)
