"""What a person sees while a run goes on: a line for what matters."""

import sys
from collections.abc import Callable

from lastcall.cli.invocation import Invocation
from lastcall.records.records import Record, Sink
from lastcall.report.narrator import Narrator


class Progress:
    """A sink that writes the lines with their time."""

    def __init__(self, write: Callable[[str], None], *, verbose: bool = False) -> None:
        self._write = write
        self._narrator = Narrator(verbose=verbose)

    def take(self, record: Record) -> None:
        """Write the record's line, if it has one."""
        line = self._narrator.line(record)
        if line:
            self._write(f"{record.at:8.2f}s  {line}")


def progress_sinks(invocation: Invocation) -> list[tuple[str, Sink]]:
    """The sink for progress on standard error, unless it is to be quiet."""
    if invocation.quiet:
        return []
    return [("progress", Progress(lambda line: _write(f"{line}\n"), verbose=invocation.verbose).take)]


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
