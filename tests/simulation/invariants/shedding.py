"""Who is shed is forced by nobody, and is left alone once somebody has started it again."""

from collections.abc import Iterator

from lastcall import Reason
from simulation.evidence import Evidence, guests_of, shutdown_of
from simulation.guest import SimulatedGuest
from simulation.history import History
from simulation.world import Delivery


def nobody_is_forced_by_shedding(history: History) -> Iterator[str]:
    """Not even by its own ladder: what is right for a host that goes down is not for one that goes on."""
    for seen, guest in _shed(history):
        if seen.plugs(guest):
            yield f"{guest.name}: its plug was pulled as guests were shed"


def who_is_started_again_is_left_alone(history: History) -> Iterator[str]:
    """Whoever starts a guest while a battery carries the host wants it to run just now."""
    for seen, guest in _shed(history):
        ends = [change.at for change in seen.changes(guest) if change.ended]
        starts = [change.at for change in seen.changes(guest) if change.ended is None and change.by != "lastcall"]
        asked = [one.at for one in seen.requests(guest)]
        # Of an end that is told late, or never, nobody knows that it was one.
        known = all(one == Delivery() for one in guest.nature.deliveries)
        known = known and not history.hypervisor.closures[guest.uri] and not seen.hung_until(guest.uri, seen.run.ended)
        for start in starts:
            before = [end for end in ends if end < start and any(at < end for at in asked)]
            if known and before and any(at > start for at in asked):
                yield f"{guest.name}: was shed, started again by somebody, and asked once more"


def _shed(history: History) -> Iterator[tuple[Evidence, SimulatedGuest]]:
    """The guests of a run that shed guests to its end."""
    seen = shutdown_of(history)
    if seen and history.world.reason is Reason.SHED and not history.stopped_host:
        for _, guest, _ in guests_of(history):
            yield seen, guest
