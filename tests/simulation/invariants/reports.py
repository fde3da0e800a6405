"""What a shutdown's report says is true."""

from collections.abc import Iterator, Sequence

from lastcall.api.guests import Ended, GuestState, Outcome
from lastcall.api.results import GuestResult
from lastcall.timing.budget import STEP
from simulation.connections import PATIENCE
from simulation.evidence import RETRY, Evidence, guests_of, shutdown_of
from simulation.guest import Change, Request, SimulatedGuest
from simulation.history import History

_BY_OUTCOME = {
    Outcome.STOPPED: {Ended.SHUTDOWN},
    Outcome.SAVED: {Ended.SAVED},
    Outcome.FORCED: {Ended.DESTROYED},
    Outcome.FAILED: {Ended.CRASHED, Ended.FAILED},
}
_CONNECTED_IN = 11.0  # seconds after which nobody tries any more to open a connection that is refused
_STEADY = 5.0  # seconds before the last resort; a connection that answers later may be too late
_PART = 0.3  # of the time until then: a connection that dies earlier may take its guests out of the report


def report_is_truth(history: History) -> Iterator[str]:
    """Who relies on a report unplugs the host, or loses what a guest had in memory."""
    for seen, guest, result in guests_of(history):
        if not seen.is_fresh(guest) and not seen.cut_off(guest.uri, seen.run.ended):
            wrong = _wrong(seen, guest, result)
            if wrong:
                yield f"{guest.name}: reported {result.outcome.value}, and {wrong}"


def _wrong(seen: Evidence, guest: SimulatedGuest, result: GuestResult) -> str:
    active, last = seen.is_active(guest), seen.last_change(guest)
    if result.outcome in _BY_OUTCOME:
        ends = [change.ended for change in seen.changes(guest) if change.ended]
        # Started by others and off again at once: libvirt tells of the first end, and of the rest late or never.
        if not active and len(ends) > 1 and _BY_OUTCOME[result.outcome] & set(ends):
            return ""
        return "it runs" if active else _wrong_end(guest, result, last, seen.plugs(guest))
    off = f"it is off since {_when(seen, last)}"
    match result.outcome:
        case Outcome.LEFT:
            return "" if active else off
        case Outcome.SKIPPED:
            return "" if active or seen.migrated(guest) or _left_alone(guest, result) else off
        case Outcome.UNKNOWN:
            return "libvirt could be asked" if seen.answers_at_the_end(guest.uri) else ""
        case _:
            return "that is no outcome of a shutdown"


def _left_alone(guest: SimulatedGuest, result: GuestResult) -> bool:
    """Also one that somebody has paused before it was planned, or that a run by hand has left as nothing was known of
    it, or shedding as only force would have stopped it: what becomes of it then is not ours to tell."""
    paused = guest.nature.paused == "leave" and result.state_before is GuestState.PAUSED
    in_doubt = result.message.startswith("cannot be looked at") and not result.attempts
    unforced = "shedding forces nobody off" in result.message or result.message.startswith("transient: nobody could")
    return guest.nature.left_by_setting or paused or in_doubt or unforced


def _wrong_end(guest: SimulatedGuest, result: GuestResult, last: Change | None, plugs: Sequence[Request]) -> str:
    if last is None or last.ended is None:
        return "it was off before"
    if last.ended in _BY_OUTCOME[result.outcome]:
        return ""
    # Of a transient guest that is gone libvirt tells nothing; what lastcall itself did to it lastcall knows, unless a
    # plug was on its way as it obeyed.
    unknown = guest.gone and (last.by != "lastcall" or any(one.at <= last.at for one in plugs))
    return "" if unknown else f"it ended as {last.ended.value}, by {last.by}"


def _when(seen: Evidence, last: Change | None) -> str:
    return f"{last.at - seen.run.began:.3f} s ({last.ended}, by {last.by})" if last else "before the run"


def method_is_what_did_it(history: History) -> Iterator[str]:
    """A guest that somebody else destroyed was stopped by none of our methods."""
    for seen, guest, result in guests_of(history):
        last = seen.last_change(guest)
        by_others = last is not None and last.by == "somebody" and not seen.plugs(guest)
        if by_others and result.outcome is Outcome.FORCED and result.method is not None:
            yield f"{guest.name}: destroyed by somebody else, and reported as done by {result.method}"


def everybody_is_in_the_report(history: History) -> Iterator[str]:
    """A host stop is about every guest whose connection answers while there is time."""
    seen = shutdown_of(history)
    if not seen or not history.stopped_host:
        return
    told = {(result.uri, result.uuid) for result in seen.report.guests}
    for guest in seen.active_at_first():
        changes = seen.changes(guest)
        line = next(line for line in seen.world.lines if line.uri == guest.uri)
        since = max(_CONNECTED_IN, line.alive_from + 1.0, _widened(seen, line.alive_from))
        gone_before = bool(changes) and changes[0].at < seen.run.began + since
        if guest.guest.key not in told and not gone_before and _answers_in_time(seen, guest.uri):
            yield f"{guest.name}: ran, and is not in the report"


def _widened(seen: Evidence, alive_from: float) -> float:
    """When the run is about all guests of a connection, counted from its beginning."""
    joining = seen.world.joining
    # Until a host stop joins it, a run by hand tries no connection again, and one for some by name is about no others.
    narrow = not seen.world.stops_the_host and (seen.world.names or alive_from)
    return joining.at if joining and narrow else 0.0


def _answers_in_time(seen: Evidence, uri: str) -> bool:
    """Whether a connection answers when the run is about its guests, or some time before the last resort, and goes on
    to for as long as it takes to list them.
    """
    line = next(line for line in seen.world.lines if line.uri == uri)
    since, until = seen.run.began + max(line.alive_from, _widened(seen, line.alive_from)), seen.last_resort - _STEADY
    dies = [at for at, back in seen.history.hypervisor.closures[uri] if at > seen.run.began and back + RETRY > since]
    # All are listed together: a connection that is refused is waited for, so that its guests are in the same order.
    slowest = max(other.alive_from for other in seen.world.lines)
    waits = min(slowest + RETRY, PATIENCE) if slowest else 0.0  # it is tried every RETRY
    listed = since + line.latency + (RETRY if line.alive_from else waits)
    hangs = line.latency >= STEP.of(seen.end - since)  # who needs longer for a list counts as one that hangs
    return since <= until and not hangs and min(dies, default=seen.end) > max(listed, since + _PART * (until - since))
