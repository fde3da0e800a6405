"""Everybody is asked before anybody is forced, in order, and the report says when."""

from collections.abc import Iterator

from lastcall import GuestResult, GuestState
from lastcall.hypervisor.guest_facts import Condition
from simulation.evidence import Evidence, shutdown_of
from simulation.guest import SimulatedGuest
from simulation.play import History

_FLOOR = 5.0  # seconds of grace at the least, where the deadline allows it
_SLACK = 0.9  # what a run may take for itself of the time that a guest gets


def nobody_is_forced_unasked(history: History) -> Iterator[str]:
    """A guest that would have obeyed must not lose its memory because nobody asked it in time."""
    seen = shutdown_of(history)
    for guest, _ in seen.results() if seen else ():
        plug = next(iter(seen.plugs(guest)), None) if seen else None
        if not seen or plug is None or _may_be_forced(guest, plug.at):
            continue
        asked = [one.at for one in seen.asked(guest) if one.at <= plug.at and (one.heard or one.in_doubt)]
        after = f"at {plug.at - seen.run.began:.3f} of {seen.end - seen.run.began:g} s"
        if asked and plug.at - asked[0] < _patience(seen, guest, asked[0], plug.at) * _SLACK:
            yield f"{guest.name}: forced {after}, {plug.at - asked[0]:.3f} s after it was asked"
        elif not asked and plug.at < _last_resort(seen):
            yield f"{guest.name}: never asked, and forced {after}"
        elif not asked and not seen.asked(guest) and not seen.cut_off(guest.uri, plug.at, before=5):
            yield f"{guest.name}: nobody even tried to ask it, and forced {after}"


def _may_be_forced(guest: SimulatedGuest, at: float) -> bool:
    """Whether its settings or its state leave nothing to ask, or its QEMU hangs and the plug needs its time."""
    forces = any(method == "destroy" for method, _ in guest.nature.ladder) and guest.driver == "QEMU"
    dead = guest.nature.state is GuestState.CRASHED or guest.state is GuestState.CRASHED
    return forces or dead or guest.held is Condition.IO_ERROR or bool(guest.nature.plug) or _crashed(guest, at)


def _crashed(guest: SimulatedGuest, at: float) -> bool:
    return any(crash <= at for crash in guest.crashes)


def _patience(seen: Evidence, guest: SimulatedGuest, asked: float, plug: float) -> float:
    """Seconds that a guest has from its first request on until its plug."""
    world = seen.world
    limit = seen.end - seen.run.began
    guests_end = seen.end - min(5.0, _reserve(seen) / 2)
    grace = min(max(world.grace, min(_FLOOR, limit / 20)), limit / 4)
    own = [timeout or guest.nature.timeout for _, timeout in guest.nature.ladder]
    times = [grace, max(0.0, guests_end - asked) / 3, *own, guest.nature.timeout]
    signals = [seen.run.began + at for at in world.signals if seen.run.began + at <= plug]
    if signals and history_forces(seen):
        times.append(_FLOOR if len(signals) == 1 else 0.0)
    return min(times)


def history_forces(seen: Evidence) -> bool:
    """Whether signals bring the last resort forward."""
    return seen.history.stopped_host or seen.world.force


def _reserve(seen: Evidence) -> float:
    limit = seen.end - seen.run.began
    return min(seen.world.reserve, max(limit / 3, min(12.5, limit / 2)))


def _last_resort(seen: Evidence) -> float:
    """When the last resort begins, by the clock or by a signal."""
    signals = [seen.run.began + at for at in seen.world.signals]
    return min([seen.end - _reserve(seen), *(signals if history_forces(seen) else ())])


def nobody_is_forced_by_hand(history: History) -> Iterator[str]:
    """A run by hand forces nobody unless it is told to."""
    seen = shutdown_of(history)
    if not seen or history.stopped_host or seen.world.force:
        return
    for guest, _ in seen.results():
        if seen.plugs(guest) and all(method != "destroy" for method, _ in guest.nature.ladder):
            yield f"{guest.name}: its plug was pulled in a run by hand"


def asked_is_when_it_was_asked(history: History) -> Iterator[str]:
    """`asked` is what people look at when a guest was forced: it must not count what the guest never heard."""
    seen = shutdown_of(history)
    for guest, result in seen.results() if seen else ():
        if not seen or any(one.in_doubt for one in seen.asked(guest)) or _started_meanwhile(seen, guest):
            continue
        heard = next((one.at - seen.run.began for one in seen.asked(guest) if one.heard), None)
        if (heard is None) != (result.asked is None) or _differ(heard, result.asked):
            if not _only_forced(guest, result):
                yield f"{guest.name}: asked at {result.asked}, and heard {heard if heard is None else round(heard, 3)}"


def _only_forced(guest: SimulatedGuest, result: GuestResult) -> bool:
    """A rung of the ladder that forces is a request as well."""
    forces = any(method == "destroy" for method, _ in guest.nature.ladder)
    return forces and guest.driver == "QEMU"


def _differ(one: float | None, other: float | None) -> bool:
    # A request is told of when it is begun, and may wait for the daemon.
    return one is not None and other is not None and abs(one - other) > 1.0


def _started_meanwhile(seen: Evidence, guest: SimulatedGuest) -> bool:
    return any(change.ended is None for change in seen.changes(guest))


def order_is_kept(history: History) -> Iterator[str]:
    """What others need goes last, or the report says that time was too short for it."""
    seen = shutdown_of(history)
    if not seen:
        return
    found = {guest.name: (guest, result) for guest, result in seen.results()}
    for guest, result in found.values():
        for name in _before(seen, guest):
            if name in found and not result.out_of_order:
                yield from _too_early(seen, guest, *found[name])


def _too_early(seen: Evidence, guest: SimulatedGuest, first: SimulatedGuest, told: GuestResult) -> Iterator[str]:
    asked = next(iter(seen.asked(guest)), None)
    active = seen.run.before[first.guest.key].active and first.nature.manage and not seen.changes(guest)[1:]
    off = next((change.at for change in seen.changes(first) if change.ended), None)
    done = min(seen.run.began + told.started + told.duration, seen.end if off is None else off)
    if asked and active and asked.at < done - 0.002:
        yield f"{guest.name}: asked at {asked.at - seen.run.began:.3f}, before {first.name}, done at {done:.3f}"


def _before(seen: Evidence, guest: SimulatedGuest) -> Iterator[str]:
    """The names of those that have to be off before it."""
    for other in seen.world.guests:
        numbers = (other.order, guest.nature.order)
        later = None not in numbers and (other.order or 0) > (guest.nature.order or 0)
        if guest.name in other.needs or later:
            yield other.name
