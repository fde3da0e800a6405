"""The list of guests to bring back has everybody who is to come back, and nobody else."""

from collections.abc import Iterator

from lastcall import GuestState, Outcome
from simulation.evidence import Evidence, shutdown_of
from simulation.guest import SimulatedGuest
from simulation.play import BOOT, History


def nobody_is_lost(history: History) -> Iterator[str]:
    """Who is off because of us and on no list stays off for ever."""
    seen = shutdown_of(history)
    if not seen or not seen.written():
        return
    for guest, _ in seen.results():
        last = seen.last_change(guest)
        off = not seen.is_active(guest) and last is not None and not seen.migrated(guest)
        for_us = last is not None and (history.stopped_host or last.by == "lastcall")
        if off and for_us and seen.ours(guest) and guest.guest.key not in seen.run.listed_after:
            yield f"{guest.name}: off (by {last.by if last else '?'}) and not on the list"


def a_host_stop_keeps_everybody(history: History) -> Iterator[str]:
    """Who still runs at the end is cut off seconds later, and has to come back like all others."""
    seen = shutdown_of(history)
    if not seen or not seen.written() or not history.stopped_host:
        return
    for guest, result in seen.results():
        listed = guest.guest.key in seen.run.listed_after
        left_by_setting = result.outcome in {Outcome.SKIPPED, Outcome.LEFT} and _may_be_left(guest)
        if seen.is_active(guest) and seen.ours(guest) and not listed and not left_by_setting:
            if not seen.is_fresh(guest):
                yield f"{guest.name}: {result.outcome.value}, runs at the end of a host stop, and is not on the list"


def _may_be_left(guest: SimulatedGuest) -> bool:
    return guest.nature.paused == "leave" and guest.state is GuestState.PAUSED


def who_waited_goes_on_waiting(history: History) -> Iterator[str]:
    """A run that has nothing to do with a guest must not forget it."""
    seen = shutdown_of(history)
    for key, entry in seen.run.listed_before.items() if seen else ():
        if seen and not seen.was_active(seen.guest(key)) and key not in seen.run.listed_after:
            yield f"{entry.name}: was off and waited, and does not wait any more"


def who_was_asked_waits(history: History) -> Iterator[str]:
    """A guest that heard a run by hand may go off any moment, and would be on no list."""
    for seen, guest in _by_hand(history):
        heard = any(one.heard for one in seen.asked(guest))
        if heard and not seen.migrated(guest) and guest.guest.key not in seen.run.listed_after:
            yield f"{guest.name}: was asked, may go off, and is not on the list"


def who_was_not_asked_does_not_wait(history: History) -> Iterator[str]:
    """A guest that runs and never heard of the run is not to be started by the next restore."""
    for seen, guest in _by_hand(history):
        touched = any(one.heard or one.in_doubt for one in seen.requests(guest))
        known = not seen.is_fresh(guest) and not seen.cut_off(guest.uri, seen.run.ended, before=30)
        if not touched and known and seen.is_active(guest) and guest.guest.key in seen.run.listed_after:
            yield f"{guest.name}: runs, was not asked, and is on the list"


def _by_hand(history: History) -> Iterator[tuple[Evidence, SimulatedGuest]]:
    seen = shutdown_of(history)
    if seen and seen.written() and not history.stopped_host:
        for guest, _ in seen.results():
            if seen.ours(guest):
                yield seen, guest


def due_is_who_ran(history: History) -> Iterator[str]:
    """The next boot brings back what the host stop saw running, and nobody whom a person had stopped before."""
    seen = shutdown_of(history)
    if not seen or not seen.written() or not history.stopped_host:
        return
    for key, entry in seen.run.listed_after.items():
        guest = seen.guest(key)
        if not seen.was_active(guest) and entry.is_due_from(BOOT):
            yield f"{entry.name}: was off before the host stop, and is due"
        told = any((result.uri, result.uuid) == key for result in seen.report.guests)
        if seen.run.before[key].active and told and not entry.is_due_from(BOOT):
            yield f"{entry.name}: ran when the host stopped, and is not due"
