"""What a person sees while a run goes on: a line for what matters."""

import math
from collections.abc import Callable, Generator
from contextlib import contextmanager

from lastcall.cli.invocation import Invocation
from lastcall.cli.outlet import LAST_WORDS, Outlet, say
from lastcall.errors import LastcallError
from lastcall.persistence.files import LAST_MOMENT
from lastcall.records.records import HookEnded, HookSaid, Record, RunEnded, RunJoined, RunStarted, Sink
from lastcall.report.narrator import Narrator
from lastcall.report.text import trace_lines
from lastcall.threads.standard_output import ERROR


class Progress:
    """A sink that writes the lines with their time."""

    def __init__(self, write: Callable[[str], None], *, verbose: bool = False) -> None:
        self._write = write
        self._narrator = Narrator(verbose=verbose, traces=verbose)

    def take(self, record: Record) -> None:
        """Write the record's line, if it has one."""
        line = self._narrator.line(record)
        if line:
            self._write(f"{record.at:8.2f}s  {line}")


class BackgroundProgress:
    """The same on standard error by a thread of its own: a terminal that hangs, or is gone, must not hang a run."""

    def __init__(self, *, verbose: bool = False) -> None:
        self._outlet = Outlet(ERROR)
        self._progress = Progress(lambda line: self._outlet.write(f"{line}\n"), verbose=verbose)
        self._ends = math.inf

    def take(self, record: Record) -> None:
        """Have the record's line written; after the last one what waits gets a moment."""
        self._progress.take(record)
        if isinstance(record, RunStarted | RunJoined):
            self._ends = math.inf if record.deadline is None else record.deadline
        elif isinstance(record, RunEnded):
            self._outlet.close(max(LAST_MOMENT, min(LAST_WORDS, self._ends - record.at)))


@contextmanager
def traced(started: float) -> Generator[None]:
    """What `LASTCALL_TRACE=1` wants: every hook call that is made meanwhile is told on standard error.

    `started`: when the program was, on the monotonic clock.
    """
    from lastcall.hooks.tracing.onlooker import watched_by
    from lastcall.hooks.tracing.trace import HookTrace

    outlet = Outlet(ERROR)
    with watched_by(HookTrace(lambda line: outlet.write(f"{line}\n"), started=started)):
        yield
    outlet.close(LAST_WORDS)


def trace_sinks(invocation: Invocation) -> list[tuple[str, Sink]]:
    """With -v, a sink for what plugins say and for tracebacks, of a command that tells itself which calls failed."""

    def take(record: Record) -> None:
        if isinstance(record, HookSaid):
            say(f"{record.plugin}: {record.line}")
        if isinstance(record, HookEnded) and record.record.traceback:
            call = record.record
            say(f"{call.hook} of {call.plugin}:", *trace_lines(call.traceback))

    return [("tracebacks", take)] if invocation.verbose else []


def tell_trace(error: LastcallError, invocation: Invocation) -> None:
    """With -v, tell the traceback of a plugin's failure."""
    if invocation.verbose and error.trace:
        say(*trace_lines(error.trace))


def progress_sinks(invocation: Invocation) -> list[tuple[str, Sink]]:
    """The sink for progress on standard error, unless it is to be quiet."""
    return [] if invocation.quiet else [("progress", BackgroundProgress(verbose=invocation.verbose).take)]
