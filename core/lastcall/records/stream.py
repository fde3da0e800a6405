"""The stream of a run's records: one clock, several sinks, none of which can spoil the run."""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence

from lastcall.errors import Problem, Severity
from lastcall.formats.bounded_text import said
from lastcall.records.bounds import within_bounds
from lastcall.records.found_problems import ProblemLimit
from lastcall.records.records import ProblemFound, Record, Sink
from lastcall.records.report_builder import ReportBuilder


class Stream:
    """Hands each record to every sink; used on the loop thread only."""

    def __init__(
        self, clock: Callable[[], float], sinks: Sequence[tuple[str, Sink]] = (), *, started: float | None = None
    ) -> None:
        self.clock = clock
        self.start = clock() if started is None else started
        self.story = ReportBuilder()
        self._sinks = list(sinks)
        self._limit = ProblemLimit()

    def now(self) -> float:
        """Seconds since the start of the run, to the millisecond."""
        return self.at(self.clock())

    def at(self, moment: float) -> float:
        """Seconds from the start of the run to a moment of the clock, to the millisecond."""
        return round(moment - self.start, 3)

    def by(self, moment: float) -> float | None:
        """The same of a moment by which something has to be over; None where it never comes by itself."""
        return None if moment == math.inf else self.at(moment)

    def since(self, moment: float) -> float:
        """Seconds from an earlier `now()` to this one."""
        return round(self.now() - moment, 3)

    def emit(self, record: Record) -> None:
        """Hand a record to every sink; one that fails is not used any more, and that is a problem of the report."""
        record = within_bounds(record)  # here, where all of them pass: log, report and screens tell the same
        # First, so that the report is whole even where every sink has failed.
        self.story.take(record)
        failed: list[tuple[str, Exception]] = []
        found: list[Problem] = []
        for entry in list(self._sinks):
            name, sink = entry
            try:
                problem = sink(record)
            except Exception as error:  # noqa: BLE001  a full disk or a closed terminal must not stop the run
                # Its failure is a record as well: kept, the sink would fail at that one, too, and so on for ever.
                self._sinks.remove(entry)
                failed.append((name, error))
            else:
                found += [problem] if problem else []
        self.problems(found)
        for name, error in failed:  # only now: every sink gets the records in the same order
            self.problem(
                name, "this run", f"cannot be written any more: {said(error)}", "is the disk full or read-only?"
            )

    def problem(
        self, what: str, where: str, message: str, remedy: str = "", severity: Severity = Severity.ERROR
    ) -> None:
        """Report a problem."""
        self.problems([Problem(what=what, where=where, message=message, remedy=remedy, severity=severity)])

    def problems(self, found: Iterable[Problem], source: Hashable = None) -> None:
        """Report problems that somebody else has found; of one `source` so many, see `ProblemLimit`."""
        for problem in found:
            admitted = self._limit.admit(problem, source)
            if admitted:
                self.emit(ProblemFound(at=self.now(), problem=admitted))
