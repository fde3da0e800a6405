"""The end of a run: the last lines of its progress, and its report, for which the host does not wait long."""

import math
import time

from lastcall.api.results import Report
from lastcall.cli.invocation import Invocation
from lastcall.cli.outlet import LAST_WORDS, STILL, Outlet
from lastcall.errors import ExitCode
from lastcall.persistence.files import LAST_MOMENT
from lastcall.records.records import ChargeAwaited, PowerChanged, Record, RunEnded, RunJoined, RunStarted
from lastcall.threads.standard_output import OUTPUT

PATIENCE = 1.0  # seconds that a run by hand waits in any case for whoever reads its report


class TimeForLastWords:
    """Knows by a run's records how long its last lines may take."""

    def __init__(self) -> None:
        self._ends = math.inf

    def take(self, record: Record) -> float | None:
        """Learn from a record; of the last one, return the seconds that there are."""
        if isinstance(record, RunStarted | RunJoined | PowerChanged | ChargeAwaited):
            self._ends = math.inf if record.deadline is None else record.deadline
        return max(LAST_MOMENT, min(LAST_WORDS, self._ends - record.at)) if isinstance(record, RunEnded) else None


def tell(report: Report, text: str, invocation: Invocation) -> int:
    """Print a run's report as `text`, and return the run's exit code: one that says so where the text is not whole.

    Whoever reads slowly is waited for until the run's deadline where it was a run by hand, unless a signal comes; the
    end of a host stop waits for a few seconds at most, and not at all for somebody who does not read.
    """
    run = report.run
    left = math.inf if run.deadline is None else invocation.started + run.deadline - time.monotonic()
    outlet = Outlet(OUTPUT, room=math.inf)
    outlet.write(text)  # and not with its line end in one: of 5000 guests that is another copy of six megabytes
    outlet.write("\n")
    if run.reason.voluntary:
        whole = outlet.close(max(PATIENCE, left), still=math.inf, stop=lambda: bool(invocation.signals.waiting))
    else:
        whole = outlet.close(max(LAST_MOMENT, min(LAST_WORDS, left)), still=STILL)
    # With 0 somebody would take half a report for the whole.
    return run.exit_code if whole else run.exit_code or ExitCode.NOT_AS_PLANNED
