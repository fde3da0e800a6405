"""Everybody is asked before anybody is forced, and the report says when."""

import math
from collections.abc import Iterator

from lastcall import Ended, GuestState
from lastcall.timing.budget import ENDING
from simulation.evidence import HASTE, Evidence, guests_of
from simulation.guest import SimulatedGuest
from simulation.history import History
from simulation.world import GuestNature

_FRESH = 1.0  # seconds for which a look at a guest is believed
_GOING_OFF = 2.0  # seconds in which a guest that obeys is off where its request breaks off
_STEPS = 8  # answers that are waited for, one after the other, until a guest is asked and its plug is pulled
_SLACK = 0.9  # what a run may take for itself of the time that a guest gets


def nobody_is_forced_unasked(history: History) -> Iterator[str]:
    """A guest that would have obeyed must not lose its memory because nobody asked it in time."""
    for evidence, guest, _ in guests_of(history):
        plug = next(iter(evidence.plugs(guest)), None)
        seen = evidence.as_of(plug.at) if plug else evidence
        told_twice = plug is not None and len(seen.signals_until(plug.at)) > 1
        if plug is None or told_twice or _may_be_forced(seen, guest, plug.at) or seen.may_have_saved(guest):
            continue
        asked = [one.at for one in seen.asked_in_this_life(guest, plug.at) if one.heard or one.in_doubt]
        after = f"at {plug.at - seen.run.began:.3f} of {seen.end - seen.run.began:g} s"
        if asked and plug.at - asked[0] < _patience(seen, guest, asked[0], plug.at) * _SLACK:
            yield f"{guest.name}: forced {after}, {plug.at - asked[0]:.3f} s after it was asked"
        elif not asked and plug.at < seen.last_resort:
            yield f"{guest.name}: never asked, and forced {after}"
        elif not asked and not _had_no_chance(seen, guest, plug.at):
            yield f"{guest.name}: nobody even tried to ask it, and forced {after}"


def _had_no_chance(seen: Evidence, guest: SimulatedGuest, at: float) -> bool:
    """Whether it was tried, or could not be: its connection was dead, or too slow for all that comes before."""
    line = next(line for line in seen.world.lines if line.uri == guest.uri)
    too_slow = line.latency * _STEPS >= seen.end - seen.run.began
    return seen.tried_in_this_life(guest, at) or seen.cut_off(guest.uri, at, before=5) or too_slow


def _may_be_forced(seen: Evidence, guest: SimulatedGuest, at: float) -> bool:
    """Whether its settings or its state leave nothing to ask, or its QEMU hangs and the plug needs its time."""
    nature = guest.nature
    dead = nature.state is GuestState.CRASHED or guest.state is GuestState.CRASHED
    # Of a request that does not return nobody can tell whether it was heard; nor can anybody of one that is going to be
    # refused after half a minute, as libvirt does where something holds the domain.
    held = any(one.answer == "given up" and _refused_late(nature, one.how) for one in seen.asked(guest))
    hangs = bool(nature.plug or nature.hangs or nature.silent) or held
    return _has_a_plug(guest) or dead or any(since <= at for since in guest.hopeless) or hangs


def _refused_late(nature: GuestNature, how: str) -> bool:
    return how in nature.refuses and nature.refuses[how].after > 0


def _patience(seen: Evidence, guest: SimulatedGuest, asked: float, plug: float) -> float:
    """Seconds that a guest has from its first request on until its plug."""
    guests_end = seen.end - max(min(5.0, seen.reserve / 2), ENDING.of(seen.end - seen.run.began))
    if asked < seen.last_resort and _was_out_of_reach(seen, guest, asked, seen.grace):
        return 0.0
    own = [timeout or guest.nature.timeout for _, timeout in guest.nature.ladder]
    times = [seen.grace, max(0.0, guests_end - asked) / 3, *own, guest.nature.timeout]
    signals = seen.signals_until(plug)
    if signals:
        times.append(HASTE if len(signals) == 1 else 0.0)
    return min(times)


def _was_out_of_reach(seen: Evidence, guest: SimulatedGuest, asked: float, grace: float) -> bool:
    """Whether something kept a guest from being asked before: a connection, a refusal, or that it was off."""
    started = any(change.ended is None and change.at > asked - grace for change in seen.changes(guest))
    refused = any(one.at < asked for one in seen.asked(guest))
    return started or refused or seen.cut_off(guest.uri, asked, before=grace)


def nobody_is_forced_by_hand(history: History) -> Iterator[str]:
    """A run by hand forces nobody unless it is told to."""
    for seen, guest, _ in guests_of(history):
        forces = history.stopped_host or seen.world.force or _has_a_plug(guest)
        forces = forces or (bool(seen.era) and not seen.world.reason.voluntary)  # once it has turned: see `power`
        if seen.plugs(guest) and not forces:
            yield f"{guest.name}: its plug was pulled in a run by hand"


def asked_is_when_it_was_asked(history: History) -> Iterator[str]:
    """`asked` is what people look at when a guest was forced: it must not count what the guest never heard."""
    for seen, guest, result in guests_of(history):
        unclear = any(one.in_doubt for one in seen.asked(guest)) or seen.may_have_saved(guest) or _has_a_plug(guest)
        unclear = unclear or _seems_to_obey(seen, guest)
        if unclear or any(change.ended is None for change in seen.changes(guest)):
            continue
        heard = next((round(one.at - seen.run.began, 3) for one in seen.asked(guest) if one.heard), None)
        if (heard is None) != (result.asked is None) or _differ(heard, result.asked):
            yield f"{guest.name}: asked at {result.asked}, and heard {heard}"


def _seems_to_obey(seen: Evidence, guest: SimulatedGuest) -> bool:
    """Whether it went off as it was asked to about when that was refused because it is not running (error 55).

    So libvirt answers, too, where a guest obeys before its request has returned: nobody can tell the two apart. How a
    transient guest has ended, that is gone, libvirt does not say.
    """
    for one in seen.asked(guest):
        obeyed = Ended.SAVED if one.how == "save" else Ended.SHUTDOWN
        ends = (change for change in seen.changes(guest) if change.ended)
        off = next((change.at for change in ends if change.ended is obeyed or guest.gone), math.inf)
        # Where its event is lost, or late as its daemon hangs, nobody can tell when it went off either.
        unheard = any(not delivery.copies for delivery in guest.nature.deliveries)
        since = -math.inf if unheard or seen.hung_until(guest.uri, one.at) else one.at - _FRESH
        if one.not_running and since <= off <= one.at + _GOING_OFF:
            return True
    return False


def _has_a_plug(guest: SimulatedGuest) -> bool:
    """Whether one of its ladder's rungs forces it, and is a request as well."""
    return guest.driver == "QEMU" and any(method == "destroy" for method, _ in guest.nature.ladder)


def _differ(one: float | None, other: float | None) -> bool:
    # A request is told of when it is begun, and may wait for the daemon.
    return one is not None and other is not None and abs(one - other) > 1.0
