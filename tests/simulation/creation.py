"""From a seed to a world: a pure function, so that a seed is all that a failure has to tell."""

import math
import random
from dataclasses import replace

from lastcall import GuestState, Reason
from simulation.chance import Chance
from simulation.population import draw_guest
from simulation.world import Announced, GuestNature, Incident, Joining, Line, Mains, World

_HOST_STOPS = (Reason.POWEROFF, Reason.REBOOT, Reason.POWER)
_TO_GUESTS = ("pause", "unpause", "save", "migrate", "destroy", "shutdown", "crash", "start", "dump", "i/o error")
_TO_LINES = ("lose", "hang")
POWER = (
    1_000_000_000  # from this seed on runs are for want of power; those before go on making the worlds that they made
)
SHEDDING = 2_000_000_000  # and from this one on guests are shed, and somebody starts some of them again
_FOR_EVER = 1e6  # seconds: a backup that waits for somebody to fetch it


def make_world(seed: int) -> World:
    """The world of this seed."""
    world = _without_mains(seed)
    if seed >= SHEDDING:
        return _with_starts(world, random.Random(f"starts {seed}"))
    return _with_mains(world, random.Random(f"mains {seed}")) if seed >= POWER else world


def _with_starts(world: World, dice: random.Random) -> World:
    """The same where guests are shed, and somebody starts them when it finds them off."""
    starts = (
        Incident(at=round(dice.uniform(0.5, world.deadline), 3), what="start", to=guest.name, lasts=1.0)
        for guest in world.guests
        for _ in range(2)
    )
    return replace(
        world, reason=Reason.SHED, force=False, announced=(), incidents=_by_time(*world.incidents, *starts)
    )  # fmt: skip


def _with_mains(world: World, dice: random.Random) -> World:
    """The same where a battery carries the host, or guests are shed before it has to, and the mains come and go."""
    battery = round(dice.uniform(5, world.deadline), 3) if world.stops_the_host else None
    limit = battery or world.deadline
    times = sorted(
        round(dice.uniform(0.02, limit) * dice.choice((0.1, 0.5, 1.0)), 3) for _ in range(dice.randint(1, 4))
    )
    lasts = (None, round(dice.uniform(5, world.deadline), 3))
    mains = tuple(Mains(at=at, back=not number % 2, lasts=dice.choice(lasts)) for number, at in enumerate(times))
    joins = dice.random() < 0.4
    at, reason = round(dice.uniform(0.05, limit), 3), dice.choice(_HOST_STOPS)
    joining = Joining(at=at, reason=reason, limit=round(dice.uniform(5, 2 * world.deadline), 3)) if joins else None
    return replace(
        world,
        reason=Reason.POWER if world.stops_the_host else Reason.SHED,
        force=False,
        joining=joining,
        signals=world.signals if dice.random() < 0.3 else (),
        announced=(),
        mains=mains,
        battery=battery,
        # From the unit, from when a host stop joins a run by hand, or never.
        told_at=0.0 if world.stops_the_host and dice.random() < 0.25 else joining.at if joining else math.inf,
    )


def _without_mains(seed: int) -> World:
    chance = Chance(seed)
    host_stop = chance.random() < 0.6
    deadline = chance.seconds(5, 600)
    lines = tuple(_draw_line(chance, f"fake://{number}/system") for number in range(chance.choice((1, 1, 1, 2))))
    # Dice of their own: a seed that is kept as a test makes the world that it made before there were backups.
    other = random.Random(f"backups {seed}")
    guests = tuple(replace(guest, jobs=other.choice(("wait", "abort"))) for guest in _draw_guests(chance, lines))
    named = not host_stop and chance.odd(0.4)
    active = [guest.name for guest in guests if guest.state is not GuestState.OFF]
    return World(
        seed=seed,
        reason=chance.choice(_HOST_STOPS) if host_stop else Reason.MANUAL,
        force=not host_stop and chance.random() < 0.3,
        names=tuple(chance.sample(active, chance.randint(1, len(active)))) if named and active else (),
        deadline=deadline,
        reserve=chance.choice((0.0, 2.0, 10.0, 30.0, 30.0, 60.0)),
        grace=chance.choice((0.0, 2.0, 10.0, 30.0, 30.0)),
        parallel=chance.choice((0, 0, 0, 1, 2)),
        lines=lines,
        guests=guests,
        incidents=_by_time(
            *_draw_incidents(chance, guests, lines, deadline, 0.25), *_draw_backups(other, guests, deadline)
        ),
        signals=tuple(sorted(chance.seconds(0.01, deadline) for _ in range(3) if chance.odd(0.12))),
        joining=_draw_joining(chance, deadline) if not host_stop and chance.odd(0.3) else None,
        disk={number: chance.choice(("full", "hangs")) for number in range(1, 6) if chance.odd(0.05)},
        rest=chance.seconds(1, 1000),
        afterwards=_draw_incidents(chance, guests, lines, 60.0, 0.2),
        restore_signals=tuple(sorted(chance.seconds(0.01, 60) for _ in range(2) if chance.odd(0.05))),
        restore_deadline=chance.seconds(60, 900),
        restore_parallel=chance.choice((0, 1, 4)),
        attempts=chance.choice((1, 3)),
        announced=_draw_announced(chance, deadline) if host_stop and chance.odd(0.2) else (),
    )


def _draw_line(chance: Chance, uri: str) -> Line:
    return Line(
        uri=uri,
        reconnect=chance.choice((5.0, 60.0)),
        latency=chance.seconds(0.001, 2) if chance.odd(0.2) else 0.0,
        alive_from=chance.seconds(0.1, 60) if chance.odd(0.05) else 0.0,
        parallel=1 if chance.odd(0.1) else 0,
    )


def _draw_guests(chance: Chance, lines: tuple[Line, ...]) -> tuple[GuestNature, ...]:
    count = chance.choice((1, 1, 2, 2, 3, 4, 6))
    guests = [draw_guest(chance, f"g{number}", chance.choice(lines).uri) for number in range(count)]
    # Either dependencies or numbers: both at once make circles, whose cutting has tests of its own.
    if chance.random() < 0.3:
        return tuple(replace(guest, order=chance.choice((None, 1, 2, 3))) for guest in guests)
    if chance.random() < 0.4:
        return tuple(
            replace(guest, needs=tuple(sorted({chance.choice(guests[:number]).name for _ in range(2)})))
            if number and chance.random() < 0.6
            else guest
            for number, guest in enumerate(guests)
        )
    return tuple(guests)


def _draw_incidents(
    chance: Chance, guests: tuple[GuestNature, ...], lines: tuple[Line, ...], until: float, probability: float
) -> tuple[Incident, ...]:
    found: list[Incident] = []
    for guest in guests:
        while chance.odd(probability):
            what, lasts = chance.choice(_TO_GUESTS), chance.seconds(0.5, 120)
            found.append(Incident(at=chance.seconds(0.05, until), what=what, to=guest.name, lasts=lasts))
    for line in lines:
        while chance.odd(probability):
            what, lasts = chance.choice(_TO_LINES), chance.seconds(0.2, 90)
            found.append(Incident(at=chance.seconds(0.05, until), what=what, to=line.uri, lasts=lasts))
    return _by_time(*found)


def _draw_backups(dice: random.Random, guests: tuple[GuestNature, ...], until: float) -> tuple[Incident, ...]:
    found: list[Incident] = []
    for guest in guests:
        if guest.driver == "QEMU" and dice.random() < 0.06:
            at, lasts = dice.choice((0.0, round(dice.uniform(0.0, until), 3))), round(dice.uniform(0.5, until), 3)
            found.append(Incident(at=at, what="backup", to=guest.name, lasts=dice.choice((_FOR_EVER, lasts))))
    return tuple(found)


def _by_time(*incidents: Incident) -> tuple[Incident, ...]:
    return tuple(sorted(incidents, key=lambda incident: incident.at))


def _draw_announced(chance: Chance, deadline: float) -> tuple[Announced, ...]:
    times = sorted(chance.seconds(0.05, deadline) for _ in range(chance.choice((1, 2, 3))))
    return tuple(
        Announced(at=at, ends=None if chance.odd(0.2) else at + chance.seconds(5, 12 + 1.5 * deadline)) for at in times
    )


def _draw_joining(chance: Chance, deadline: float) -> Joining:
    return Joining(
        at=chance.seconds(0.05, deadline), reason=chance.choice(_HOST_STOPS), limit=chance.seconds(5, 2 * deadline)
    )
