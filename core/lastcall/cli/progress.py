"""What a person sees while a run goes on: a line for what matters."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lastcall.cli.invocation import Invocation
from lastcall.cli.last_words import TimeForLastWords
from lastcall.cli.outlet import LAST_WORDS, Outlet, say
from lastcall.errors import LastcallError
from lastcall.records.records import HookEnded, HookSaid, Record, Sink
from lastcall.report.narrator import Narrator
from lastcall.report.text import trace_lines
from lastcall.threads.standard_output import ERROR

if TYPE_CHECKING:
    from lastcall.cli.live.live_progress import LiveProgress


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
        self._time = TimeForLastWords()

    def take(self, record: Record) -> None:
        """Have the record's line written; after the last one what waits gets a moment."""
        self._progress.take(record)
        seconds = self._time.take(record)
        if seconds is not None:
            self._outlet.close(seconds)


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


@contextmanager
def watched_progress(invocation: Invocation, *, forces: bool = False) -> Generator[list[tuple[str, Sink]]]:
    """The same for a run that somebody watches: where standard error is a terminal, as a live view of it.

    Afterwards nothing of that is left on the screen. `forces`: also by hand, guests meet the last resort.
    """
    live = None if invocation.quiet else _live_progress(invocation, forces=forces)
    if live is None:
        yield progress_sinks(invocation)
        return
    try:
        yield [("progress", live.take)]
    finally:
        live.close()


def _live_progress(invocation: Invocation, *, forces: bool) -> "LiveProgress | None":
    from lastcall.hooks.tracing.onlooker import NOBODY, onlooker

    if onlooker() is not NOBODY:  # the trace is lines, of everything that it would show
        return None
    try:
        from lastcall.cli.live.terminal import Terminal

        terminal = Terminal.find(ERROR)
        if terminal is None:
            return None
        from lastcall.cli.live.live_progress import LiveProgress

        return LiveProgress(terminal, verbose=invocation.verbose, forces=forces)
    except Exception:  # noqa: BLE001  a library that is broken must not cost a guest its shutdown, and lines need none
        return None
