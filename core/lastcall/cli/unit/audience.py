"""Who is told of a run of a unit: systemd, the journal and the console."""

from lastcall.cli.invocation import Invocation
from lastcall.cli.progress import progress_sinks
from lastcall.formats.values import value
from lastcall.records.records import Sink
from lastcall.systemd.console import Console
from lastcall.systemd.journal import Journal
from lastcall.systemd.notify import Notifier
from lastcall.systemd.status_lines import StatusLines


@value
class Audience:
    """Who is told of a run: the sinks, and the attendant, who wants to know the time as well."""

    attendant: StatusLines
    sinks: list[tuple[str, Sink]]

    @classmethod
    def gather(cls, invocation: Invocation, *, console: bool) -> "Audience":
        """Everybody who is there; without a journal the lines go to standard error."""
        journal = Journal.find()
        attendant = StatusLines(Notifier.from_environment(), Console() if console else None)
        # The standard error of a unit ends up in the journal: with both, every line would stand there twice.
        lines = [("journal", journal.take)] if journal else progress_sinks(invocation)
        return cls(attendant, [("systemd", attendant.take), *lines])
