"""What holds of a run for want of power whose mains come back."""

from collections.abc import Iterator

from lastcall import Outcome
from simulation.evidence import Evidence, guests_of, shutdown_of
from simulation.guest import PREPARES, SimulatedGuest
from simulation.history import BOOT, History
from simulation.terms import Era, eras

_UNDER_WAY = 0.05  # seconds in which a request arrives that has left for libvirt
_TIME = 10.0  # seconds that it takes at most to get to a guest again that nothing keeps from being asked


def nobody_is_asked_once_the_mains_are_back(history: History) -> Iterator[str]:
    """Whoever has not heard anything by then had better run on, and nobody is forced that was asked."""
    for seen, guest, _ in guests_of(history):
        for era in _turned(seen):
            for one in seen.requests(guest):
                at = one.at - seen.run.began
                if era.since + _lag(seen, guest) < at < era.until - 0.002 and one.how not in PREPARES:
                    yield f"{guest.name}: {one.how} at {at:.3f}, and the mains were back at {era.since:.3f}"


def what_it_has_stopped_comes_back_with_the_mains(history: History) -> Iterator[str]:
    """Else it stays off, with the mains on."""
    seen = shutdown_of(history)
    if not seen or not seen.era or not seen.era.turned or not seen.written():
        return
    for guest, _ in seen.results():
        last = seen.last_change(guest)
        by_us = last is not None and last.ended is not None and last.by == "lastcall"
        entry = seen.run.listed_after.get(guest.guest.key)
        if by_us and guest.nature.ours and not guest.nature.left_by_setting and not seen.migrated(guest):
            if entry is None:
                yield f"{guest.name}: off, and on no list"
            elif (entry.cause, entry.due, entry.boot_id) != ("shed", True, BOOT):
                yield f"{guest.name}: listed as {entry.cause}, due {entry.due}"


def who_was_spared_is_asked_where_the_host_stops_after_all(history: History) -> Iterator[str]:
    """Also where it was interrupted by hand before that: the host takes the power from it."""
    for seen, guest, result in guests_of(history):
        told = result.message.endswith("before it was asked")
        if not history.stopped_host or not told or result.outcome is not Outcome.SKIPPED:
            continue
        since = _host_stops_since(seen)
        lag = _TIME + 10 * next(line.latency for line in seen.world.lines if line.uri == guest.uri)
        if seen.last_resort - since > lag and not seen.cut_off(guest.uri, seen.run.ended, before=lag):
            yield f"{guest.name}: {result.message}, and the host stops since {since - seen.run.began:.3f}"


def _host_stops_since(seen: Evidence) -> float:
    if seen.era:
        return seen.run.began + seen.era.since
    joining = seen.world.joining
    return seen.run.began + (joining.at if joining and not seen.world.stops_the_host else 0.0)


def _turned(seen: Evidence) -> list[Era]:
    return [era for era in eras(seen.run) if era.turned] if seen.era else []


def _lag(seen: Evidence, guest: SimulatedGuest) -> float:
    return _UNDER_WAY + next(line.latency for line in seen.world.lines if line.uri == guest.uri)
