"""The list of guests to bring back has everybody who is to come back, and nobody else."""

from collections.abc import Iterator

from lastcall import Outcome
from simulation.evidence import Evidence, guests_of, shutdown_of
from simulation.guest import SimulatedGuest
from simulation.history import BOOT, History


def nobody_is_lost(history: History) -> Iterator[str]:
    """Who is off because of us and on no list stays off for ever."""
    for seen, guest in _ours(history):
        last = seen.last_change(guest)
        off = not seen.is_active(guest) and not seen.migrated(guest)
        for_us = last is not None and (history.stopped_host or last.by == "lastcall")
        if off and for_us and guest.guest.key not in seen.run.listed_after:
            yield f"{guest.name}: off (by {last.by if last else '?'}) and not on the list"


def a_host_stop_keeps_everybody(history: History) -> Iterator[str]:
    """Who still runs at the end is cut off seconds later, and has to come back like all others."""
    outcomes = {result.uuid: result.outcome for _, _, result in guests_of(history)}
    for seen, guest in _ours(history):
        listed = guest.guest.key in seen.run.listed_after
        if not history.stopped_host or listed or seen.is_fresh(guest) or seen.came_back_unseen(guest):
            continue
        if seen.is_active(guest):
            what = outcomes.get(guest.uuid, Outcome.UNKNOWN).value
            yield f"{guest.name}: {what}, runs at the end of a host stop, and is not on the list"


def who_waited_goes_on_waiting(history: History) -> Iterator[str]:
    """A run that has nothing to do with a guest must not forget it."""
    seen = shutdown_of(history)
    for key, entry in seen.run.listed_before.items() if seen else ():
        if seen and not seen.was_active(seen.guest(key)) and key not in seen.run.listed_after:
            yield f"{entry.name}: was off and waited, and does not wait any more"


def who_was_asked_waits(history: History) -> Iterator[str]:
    """A guest that heard a run by hand may go off any moment, and would be on no list."""
    for seen, guest in _ours(history):
        heard = any(one.heard for one in seen.asked_in_this_life(guest)) and not history.stopped_host
        if heard and not seen.migrated(guest) and guest.guest.key not in seen.run.listed_after:
            yield f"{guest.name}: was asked, may go off, and is not on the list"


def who_was_not_asked_does_not_wait(history: History) -> Iterator[str]:
    """A guest that runs and never heard of the run is not to be started by the next restore."""
    for seen, guest, result in guests_of(history):
        if not _is_ours(seen, guest):
            continue
        touched = history.stopped_host or any(one.heard or one.in_doubt for one in seen.requests(guest))
        known = not seen.is_fresh(guest) and not seen.cut_off(guest.uri, seen.run.ended, before=30)
        # Whether one that has refused runs on, or could not be asked, is not known, where libvirt is too slow to say so
        # at the end.
        known = known and (seen.answers_at_the_end(guest.uri) or not result.attempts)
        if not touched and known and seen.is_active(guest) and guest.guest.key in seen.run.listed_after:
            yield f"{guest.name}: runs, was not asked, and is on the list"


def _ours(history: History) -> Iterator[tuple[Evidence, SimulatedGuest]]:
    """The guests of the report that are to come back by their settings, where the list could be written."""
    for seen, guest, _ in guests_of(history):
        if _is_ours(seen, guest):
            yield seen, guest


def _is_ours(seen: Evidence, guest: SimulatedGuest) -> bool:
    return guest.nature.ours and not guest.nature.left_by_setting and seen.written()


def due_is_who_ran(history: History) -> Iterator[str]:
    """The next boot brings back what the host stop saw running, and nobody whom a person had stopped before."""
    seen = shutdown_of(history)
    if not seen or not seen.written() or not history.stopped_host:
        return
    told = {guest.guest.key for _, guest, _ in guests_of(history)}
    for key, entry in seen.run.listed_after.items():
        due = entry.is_due_from(BOOT)
        if due and not seen.was_active(seen.guest(key)):
            yield f"{entry.name}: was off before the host stop, and is due"
        if not due and seen.run.before[key].active and key in told:
            yield f"{entry.name}: ran when the host stopped, and is not due"
