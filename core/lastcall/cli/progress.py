"""What a person sees while a run goes on: a line for what matters."""

from collections.abc import Callable

from lastcall.records.records import Record
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
