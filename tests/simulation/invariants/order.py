"""What others need goes last."""

import math
from collections.abc import Iterator

from lastcall import GuestResult
from lastcall.records.records import GuestBegun, GuestEnded, GuestPlanned, ProblemFound
from simulation.evidence import Evidence, guests_of
from simulation.guest import SimulatedGuest
from simulation.history import History
from simulation.world import World

_EPSILON = 0.002  # seconds, twice the precision of records


def order_is_kept(history: History) -> Iterator[str]:
    """A database that is stopped before what writes to it loses what is written; too short a time is told of."""
    found = {guest.name: (seen, guest, result) for seen, guest, result in guests_of(history)}
    for seen, guest, result in found.values():
        for name in _before(seen.world, guest.name):
            if name in found and not result.out_of_order:
                yield from _too_early(seen, guest, *found[name][1:])


def _too_early(seen: Evidence, guest: SimulatedGuest, first: SimulatedGuest, told: GuestResult) -> Iterator[str]:
    asked = next(iter(seen.asked(guest)), None)
    # Who came up meanwhile, or again, was asked in the order of those who came up with it.
    # A host stop that joins a run for some asks the others at once.
    counts = (
        not seen.world.names
        and seen.run.before[first.guest.key].active
        and first.nature.manage
        and not seen.changes(guest)[1:]
    )
    if told.ended is not None and not told.attempts:
        return  # others ended it, when its turn was over
    off = next((change.at for change in seen.changes(first) if change.ended), seen.end)
    done = min(off, _verdict(seen, first))
    if asked and counts and asked.at < done - _EPSILON and not _unknown_by_then(seen, first, guest):
        yield f"{guest.name}: asked at {asked.at - seen.run.began:.3f}, before {first.name}, done at {done:.3f}"


def _verdict(seen: Evidence, guest: SimulatedGuest) -> float:
    """When its turn was over, however it ended: what becomes of it then, or whether a host stop that joins, or a
    connection that comes back, has it seen off once more, changes nothing for those who had waited for it until then.
    """
    verdicts = (one.at for one in seen.run.records if isinstance(one, GuestEnded) and one.guest == guest.guest.key)
    return min((seen.run.began + at for at in verdicts), default=seen.end)


def _unknown_by_then(seen: Evidence, first: SimulatedGuest, guest: SimulatedGuest) -> bool:
    """Whether nobody could know of the first when the other's turn came, which that has whoever comes late: the first's
    connection was not there, and nobody waits for who may run behind it.

    What it brings later are latecomers, in the order among themselves.
    """
    records, key = seen.run.records, guest.guest.key
    # By their order, as both may come in one moment: the one in which a daemon goes on.
    turn = next((at for at, one in enumerate(records) if isinstance(one, GuestBegun) and one.guest == key), 0)
    planned = (
        at for at, one in enumerate(records) if isinstance(one, GuestPlanned) and one.guest.key == first.guest.key
    )
    at = seen.run.began + records[turn].at
    # A daemon that takes longer for its list than a short deadline has for that is said to be waited for.
    told = [one.problem for one in records[:turn] if isinstance(one, ProblemFound)]
    slow = any((problem.what, problem.where) == ("waiting", first.uri) for problem in told)
    return next(planned, math.inf) > turn and (slow or seen.cut_off(first.uri, at, before=at - seen.run.began))


def _before(world: World, name: str) -> Iterator[str]:
    """The names of those that have to be off before a guest."""
    number = world.nature(name).order
    for other in world.guests:
        later = None not in {number, other.order} and (other.order or 0) > (number or 0)
        if name in other.needs or later:
            yield other.name
