"""Every run is over in time, says so by its exit code, and can be read back."""

from collections.abc import Iterator

from lastcall import EarlierStop, GuestResult, GuestState, Outcome, Reason, RunKind
from lastcall.api.results import Report
from lastcall.errors import Severity
from lastcall.records.records import GuestPlanned, Record
from lastcall.records.report_builder import ReportBuilder
from lastcall.records.run_log import read_log
from simulation.evidence import restores_of, shutdown_of
from simulation.guest import SimulatedGuest
from simulation.history import History, Played
from simulation.world import Delivery

_FRESH = 1.0  # seconds for which a look at a guest is believed
_EPSILON = 0.3  # seconds: the last write gets a moment although the deadline is over
_FINE = {Outcome.STOPPED, Outcome.SAVED, Outcome.SKIPPED, Outcome.STARTED, Outcome.RESUMED, Outcome.PRESENT}


def over_in_time(history: History) -> Iterator[str]:
    """Behind the deadline the power is off."""
    seen = shutdown_of(history)
    if seen and seen.run.ended > seen.end + _EPSILON:
        yield f"over at {seen.run.ended - seen.run.began:.3f} of {seen.end - seen.run.began:g} s"
    for restore in restores_of(history):
        took = restore.run.ended - restore.run.began
        if took > restore.world.restore_deadline + _EPSILON:
            yield f"restore over at {took:.3f} of {restore.world.restore_deadline:g} s"


def exit_code_follows_from_outcomes(history: History) -> Iterator[str]:
    """Scripts look at nothing else."""
    for run in history.runs:
        if run.report:
            code, fine = (
                run.report.run.exit_code,
                {_all_fine(history, run.report, heard=heard) for heard in (True, False)},
            )
            troubles = any(problem.severity is Severity.ERROR for problem in run.report.problems)
            if (True not in fine and code == 0) or (False not in fine and not troubles and code != 0):
                told = ", ".join(f"{guest.name} {guest.outcome.value}" for guest in run.report.guests)
                yield f"{run.report.run.kind.value}: exit code {code} after {told}"


def _all_fine(history: History, report: Report, *, heard: bool) -> bool:
    """`heard`: an event that comes late, or may be lost, has told of a crash."""
    shutdown = report.run.kind is RunKind.SHUTDOWN
    return all(
        stop.outcome in _FINE or (shutdown and _forced_as_planned(history, result, stop, heard=heard))
        for result in report.guests
        for stop in result.stops
    )


def _forced_as_planned(history: History, result: GuestResult, stop: GuestResult | EarlierStop, *, heard: bool) -> bool:
    """Whether the first rung of its ladder is the plug, and it was that rung; of one that has crashed it is the last
    resort, as nothing on its ladder is of use.
    """
    guest, run = history.hypervisor.guest((result.uri, result.uuid)), history.shutdown
    first = next(iter(guest.nature.ladder), ("", None))[0]
    planned_at = run.began + next((one.at for one in run.records if _plans(one, guest)), 0.0)
    soon = any(0 <= at - planned_at <= _FRESH for at in guest.hopeless)
    told = heard or (not soon and all(one == Delivery() for one in guest.nature.deliveries))
    # What somebody has started anew since has not crashed.
    state = result.state_before if stop is result else guest.nature.state
    # Nor does it matter what becomes of one whose plug is being pulled.
    asked_at = run.ended if stop.asked is None else run.began + stop.asked
    crashed = (stop is result.stops[0] and state is GuestState.CRASHED) or (
        told and any(run.began <= at <= asked_at for at in guest.hopeless)
    )
    planned = first == "destroy" and guest.nature.driver == "QEMU" and not crashed
    others = [one for one in stop.attempts if one.result != "ok"]
    did = bool(others) and (others[0].method, others[0].result) == ("destroy", "forced")
    return stop.outcome is Outcome.FORCED and planned and stop.method == "destroy" and did


def _plans(record: Record, guest: SimulatedGuest) -> bool:
    return isinstance(record, GuestPlanned) and record.guest.key == guest.guest.key


def log_tells_the_same(history: History) -> Iterator[str]:
    """After a crash the run log is all there is."""
    for run in history.runs:
        if run.report and ReportBuilder(read_log(run.log)).report() != run.report:
            yield f"{run.report.run.kind.value}: the run log folds to another report"


def nothing_breaks(history: History) -> Iterator[str]:
    """An error of our own is nobody's answer."""
    for run in history.runs:
        if run.error and not _refused(history, run):
            yield f"ended by {run.error}"
        for problem in run.report.problems if run.report else ():
            if problem.what == "internal":
                yield f"{problem.where}: {problem.message}"
    yield from history.complaints


def _refused(history: History, run: Played) -> bool:
    """A run by hand for guests that cannot be found, or shedding whose list no disk takes: nobody is touched by it."""
    if history.world.reason is Reason.SHED and history.world.disk and run.error.startswith("NoPermission"):
        unasked = all(one.requests == run.before[key].requests for key, one in run.after.items())
        return run is history.shutdown and unasked
    return run is history.shutdown and bool(history.world.names) and run.error.startswith("UsageError")
