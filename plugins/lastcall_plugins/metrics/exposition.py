"""The figures as Prometheus reads them; every name, what it says and its labels stand in FAMILIES."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from lastcall import Outcome, Severity, TextFile, __version__
from lastcall_plugins.metrics.kept import LARGEST, Check, Kept, LastRun, Runs

if TYPE_CHECKING:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

_RUN = ("kind", "reason")
_GUEST = ("kind", "uri", "guest")


class Family(NamedTuple):
    """What one name says, and by what it is told apart."""

    help: str
    labels: Sequence[str] = ()
    kind: Literal["gauge", "counter"] = "gauge"


FAMILIES: Mapping[str, Family] = {
    "lastcall_build_info": Family("1, with the version of lastcall that has written this.", ("version",)),
    "lastcall_on_duty": Family("Whether the next host stop was served (1) or not (0), at the last check."),
    "lastcall_unseen_bad_runs": Family(
        "Runs with guests that were forced off, left or failed, and not acknowledged by `lastcall report --ack`, at "
        "the last check; 10 is 10 or more."
    ),
    "lastcall_check_timestamp_seconds": Family("When the last `lastcall check` was, since the epoch."),
    "lastcall_check_success_timestamp_seconds": Family(
        "When the last `lastcall check` was that found no error, since the epoch."
    ),
    "lastcall_check_problems": Family("Problems that the last `lastcall check` found.", ("severity",)),
    "lastcall_plan_guests": Family("Guests that the next host stop would stop, at the last check."),
    "lastcall_plan_unknown_guests": Family("Those of them of which no earlier run knows how long they take."),
    "lastcall_plan_usual_seconds": Family(
        "How long the next host stop would take by the times of earlier runs, at the last check; not there while no "
        "run has seen any of its guests."
    ),
    "lastcall_plan_worst_seconds": Family(
        "How long the next host stop would take if every time that is configured were used up, at the last check."
    ),
    "lastcall_plan_last_resort_seconds": Family(
        "After how long the next host stop would force off whoever still runs, at the last check."
    ),
    "lastcall_plan_deadline_seconds": Family("How long the next host stop may take, at the last check."),
    "lastcall_runs_total": Family("Runs since metrics are written.", _RUN, "counter"),
    "lastcall_guests_forced_total": Family("Guests that were forced off since metrics are written.", (), "counter"),
    "lastcall_last_run_timestamp_seconds": Family("When the last run began, since the epoch.", _RUN),
    "lastcall_last_run_duration_seconds": Family("How long the last run took.", _RUN),
    "lastcall_last_run_deadline_seconds": Family(
        "How long the last run was allowed to take, where it had a limit.", _RUN
    ),
    "lastcall_last_run_as_planned": Family("Whether everything in the last run went as planned (1) or not (0).", _RUN),
    "lastcall_last_run_guests": Family("What became of the guests of the last run.", (*_RUN, "outcome")),
    "lastcall_last_run_problems": Family("Problems of the last run.", (*_RUN, "severity")),
    "lastcall_guest_duration_seconds": Family(
        "How long a guest took to stop, or to be back and ready, in the last run that it took part in.", _GUEST
    ),
    "lastcall_guest_outcome": Family(
        "1, with what became of a guest in the last run that it took part in.", (*_GUEST, "outcome")
    ),
    "lastcall_guests_left_out": Family("Guests without figures of their own, as there are too many.", ("kind",)),
}

_Sample = tuple[str, Sequence[str], float]


def write_exposition(path: Path, kept: Kept) -> None:
    """Write the file, in one step and for everybody to read. Raises LastcallError."""
    # By a name that ends in .new until it is whole: node_exporter reads *.prom.
    TextFile(path, limit=LARGEST, public=True).write(exposition(kept))


def exposition(kept: Kept) -> str:
    """The text of the file."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(_Collector(kept))
    return generate_latest(registry).decode()


class _Collector:
    """Gives the library what it writes; a registry of our own, as the usual one has figures of this process."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def collect(self) -> "Iterable[Metric]":
        """The families that have something to tell."""
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for name, labels, value in _samples(self._kept):
            family = families.get(name) or families.setdefault(name, _family(name))
            family.add_metric([*labels], value)
        return families.values()


def _family(name: str) -> "CounterMetricFamily | GaugeMetricFamily":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    text, labels, kind = FAMILIES[name]
    make = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
    return make(name, text, labels=labels)


def _samples(kept: Kept) -> Iterator[_Sample]:
    yield "lastcall_build_info", (__version__,), 1
    if kept.check:
        yield from _of_check(kept.check)
    yield "lastcall_guests_forced_total", (), sum(runs.forced for runs in kept.runs.values())
    for kind, runs in kept.runs.items():
        yield from _of_runs(kind, runs)


def _of_check(check: Check) -> Iterator[_Sample]:
    yield "lastcall_on_duty", (), check.on_duty
    yield "lastcall_unseen_bad_runs", (), check.unseen
    yield "lastcall_check_timestamp_seconds", (), check.at
    if check.good is not None:
        yield "lastcall_check_success_timestamp_seconds", (), check.good
    for severity in Severity:
        yield "lastcall_check_problems", (severity.value,), check.problems.get(severity.value, 0)
    plan = check.forecast
    if plan:
        yield "lastcall_plan_guests", (), plan.guests
        yield "lastcall_plan_unknown_guests", (), plan.unknown
        if plan.usual is not None:
            yield "lastcall_plan_usual_seconds", (), plan.usual
        yield "lastcall_plan_worst_seconds", (), plan.worst
        if plan.last_resort is not None:
            yield "lastcall_plan_last_resort_seconds", (), plan.last_resort
        if plan.deadline is not None:
            yield "lastcall_plan_deadline_seconds", (), plan.deadline


def _of_runs(kind: str, runs: Runs) -> Iterator[_Sample]:
    for reason, run in runs.last.items():
        yield from _of_last(run, (kind, reason))
    for reason, count in runs.counted.items():
        yield "lastcall_runs_total", (kind, reason), count
    for guest in runs.guests:
        labels = (kind, guest.uri, guest.name)
        yield "lastcall_guest_duration_seconds", labels, guest.duration
        yield "lastcall_guest_outcome", (*labels, guest.outcome), 1
    yield "lastcall_guests_left_out", (kind,), runs.left_out


def _of_last(run: LastRun, labels: Sequence[str]) -> Iterator[_Sample]:
    yield "lastcall_last_run_timestamp_seconds", labels, run.began
    yield "lastcall_last_run_duration_seconds", labels, run.duration
    if run.deadline is not None:
        yield "lastcall_last_run_deadline_seconds", labels, run.deadline
    yield "lastcall_last_run_as_planned", labels, run.as_planned
    # With a 0 for each that nobody had: a series that is not there compares with nothing, and an alert stays silent.
    for outcome in Outcome:
        yield "lastcall_last_run_guests", (*labels, outcome.value), run.outcomes.get(outcome.value, 0)
    for severity in Severity:
        yield "lastcall_last_run_problems", (*labels, severity.value), run.problems.get(severity.value, 0)
