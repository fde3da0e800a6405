"""What `runs` and `runs diff` print."""

from lastcall.cli.documents.run_summary import RunSummary
from lastcall.formats.values import value
from lastcall.report.run_comparison import RunComparison


@value(kw_only=True)
class RunsDocument:
    """Runs, newest first. `more`: older ones fit as well, and are not listed."""

    version: int = 1
    runs: tuple[RunSummary, ...]
    more: bool


@value(kw_only=True)
class RunsDiffDocument(RunComparison):
    """The comparison of two runs, by their ids."""

    version: int = 1
    before: str
    after: str
