"""What is kept between two runs, as each of them knows itself alone: `shutdown.json`, `restore.json` and `check.json`.

A file for each, so that a check and a run that end at the same moment take nothing of each other.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import takewhile
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from lastcall import CheckFindings, Outcome, Problem, Report, RunKind, StopForecast, TextFile, from_json

LARGEST = 16 << 20  # bytes; a guest takes some 200
KNOWN = 100  # ids of runs that were counted; a check tells of one of the last fifty


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True)


class LastRun(_Kept):
    """The last run of a kind for a reason. `began` in seconds since the epoch."""

    id: str
    began: float
    duration: float
    as_planned: bool
    deadline: float | None
    outcomes: dict[str, int]
    problems: dict[str, int]


class LastStop(_Kept):
    """The last that became of a guest in runs of one kind, in the run of this id."""

    uri: str
    name: str
    outcome: str
    duration: float
    run: str


class Runs(_Kept):
    """The runs of one kind: the last one by reason, how many there were, how many guests were forced off in all.

    `known`: the ids of those that were told last, the newest at the end; each of them is counted.
    """

    last: dict[str, LastRun] = {}
    counted: dict[str, int] = {}
    forced: int = 0
    guests: tuple[LastStop, ...] = ()
    left_out: int = 0
    known: tuple[str, ...] = ()


class Check(_Kept):
    """The last check; `good`: when one found no error, in seconds since the epoch."""

    at: float
    good: float | None
    problems: dict[str, int]
    on_duty: bool
    unseen: int
    forecast: StopForecast | None


KeptT = TypeVar("KeptT", bound=_Kept)


class Kept:
    """The figures in a folder. Every method raises LastcallError where a file cannot be read or written."""

    def __init__(self, folder: Path, guests: int) -> None:
        self._folder, self._most = folder, guests
        self._runs = {kind: self._read(kind.value, Runs) or Runs() for kind in RunKind}
        self.check = self._read("check", Check)

    @property
    def runs(self) -> dict[str, Runs]:
        """The runs by their kind."""
        return {kind.value: runs for kind, runs in self._runs.items()}

    def learn_run(self, report: Report) -> None:
        """Add a run that ends now, or say more of the last one.

        It is the newest, whatever its id says: two may begin in one second, and a clock may have been ahead.
        """
        facts, runs = report.run, self._runs[report.run.kind]
        reason = facts.reason.value
        before = runs.last.get(reason)
        # A run tells of itself before its very end; the checks that come after it tell the whole.
        again = before if before and facts.id == before.id else None
        run = _last_run(report)
        guests = _each_once(_placed(_stops(report), runs.guests) if again else (*_stops(report), *runs.guests))
        learnt = Runs(
            last={**runs.last, reason: run},
            counted={**runs.counted, reason: runs.counted.get(reason, 0) + (0 if again else 1)},
            forced=runs.forced + max(0, _forced(run) - (_forced(again) if again else 0)),
            guests=guests[: self._most],
            left_out=max(0, len(guests) - self._most),
            known=_known(runs, facts.id),
        )
        self._learn(facts.kind, learnt)

    def make_up_for(self, report: Report) -> None:
        """Learn of a run by a check: all of the last one, or one that could not tell of itself.

        The last one whose log is whole may be older than the last one that was told of: that changes nothing.
        """
        facts, runs = report.run, self._runs[report.run.kind]
        last = runs.last.get(facts.reason.value)
        if facts.id not in runs.known or (last and last.id == facts.id):
            self.learn_run(report)
        else:
            # It stays known for as long as checks tell of it.
            self._learn(facts.kind, runs.model_copy(update={"known": _known(runs, facts.id)}))

    def learn_check(self, findings: CheckFindings) -> None:
        """Put a check in the place of the last one."""
        problems, at = _by_severity(findings.problems), _seconds(findings.at)
        good = at if not problems.get("error") else self.check.good if self.check else None
        self.check = Check(
            at=at, good=good, problems=problems, on_duty=findings.on_duty, unseen=findings.unseen,
            forecast=findings.forecast,
        )  # fmt: skip
        self._write("check", self.check)

    def _learn(self, kind: RunKind, runs: Runs) -> None:
        self._runs[kind] = runs
        self._write(kind.value, runs)

    def _read(self, name: str, model: type[KeptT]) -> KeptT | None:
        file = self._file(name)
        text = file.read()
        try:
            return None if text is None else model.model_validate(from_json(text))
        except ValueError:
            file.set_aside()  # figures begin anew, and whoever wants the old ones has them
            return None

    def _write(self, name: str, kept: _Kept) -> None:
        self._file(name).write(json.dumps(kept.model_dump(mode="json")))

    def _file(self, name: str) -> TextFile:
        return TextFile(self._folder / f"{name}.json", limit=LARGEST)


def _last_run(report: Report) -> LastRun:
    facts = report.run
    return LastRun(
        id=facts.id,
        began=_seconds(facts.started),
        duration=facts.duration,
        as_planned=facts.exit_code == 0,
        deadline=facts.deadline,
        # One that was forced off, started again by somebody and stopped once more counts with both.
        outcomes=dict(Counter(stop.outcome.value for guest in report.guests for stop in guest.stops)),
        problems=_by_severity(report.problems),
    )


def _known(runs: Runs, run: str) -> tuple[str, ...]:
    return (*(one for one in runs.known if one != run), run)[-KNOWN:]


def _forced(run: LastRun) -> int:
    return run.outcomes.get(Outcome.FORCED.value, 0)


def _stops(report: Report) -> tuple[LastStop, ...]:
    return tuple(
        LastStop(
            uri=label(one.uri), name=label(one.name), outcome=one.outcome.value, duration=one.duration,
            run=report.run.id,
        )
        for one in report.guests
    )  # fmt: skip


def _placed(again: Sequence[LastStop], guests: Sequence[LastStop]) -> Iterator[LastStop]:
    """What is told again of a run, where that run stands: runs for other reasons may have come after it."""
    runs = {one.run for one in again}
    newer = tuple(takewhile(lambda one: one.run not in runs, guests))
    yield from (*newer, *again, *guests[len(newer) :])


def _each_once(guests: Iterable[LastStop]) -> tuple[LastStop, ...]:
    """Each guest as it was told last, the newest runs first; what was defined anew under its old name is one with what
    it was.

    node_exporter refuses a whole file in which two figures have the same labels.
    """
    found: dict[tuple[str, str], LastStop] = {}
    for one in guests:
        found.setdefault((one.uri, one.name), one)
    return tuple(found.values())


def label(text: str) -> str:
    r"""A label's text: a lone surrogate, which is no UTF-8, and a zero byte are shown; the library escapes the rest."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _by_severity(problems: Iterable[Problem]) -> dict[str, int]:
    return dict(Counter(problem.severity.value for problem in problems))


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
