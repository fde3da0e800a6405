"""Draws the guests of a world."""

from lastcall import GuestState
from simulation.chance import Chance
from simulation.world import Delivery, GuestNature, Refusal

_ASKED_BY = ("acpi", "agent", "default", "signal 38", "signal 15", "save")
_LADDERS = (
    ("agent", "acpi"), ("agent", "acpi"), ("acpi",), ("acpi",), ("save",), ("save", "acpi"), ("acpi", "save"),
    ("acpi", "destroy"), ("destroy",), (),
)  # fmt: skip
# Unsupported, invalid argument: libvirt says the same tomorrow. A busy domain, a system error: perhaps not.
_FOR_GOOD, _FOR_NOW = (84, 3, 8), (68, 38, 55, 1)


def draw_guest(chance: Chance, name: str, uri: str) -> GuestNature:
    """One guest, with what is configured for it."""
    container, stuck = chance.odd(0.1), chance.odd(0.06)
    persistent = container or not chance.odd(0.12)
    methods = chance.choice(_LADDERS)
    state = _draw_state(chance, persistent=persistent, container=container)
    return GuestNature(
        name=name,
        uri=uri,
        driver="LXC" if container else "QEMU",
        persistent=persistent,
        state=state,
        agent=not container and chance.random() < 0.4,
        takes=chance.seconds(0.02, 400),
        saving=chance.seconds(0.5, 60),
        plug=round(chance.uniform(10.4, 11.6), 3) if stuck else 0.0,
        deaf_to=chance.some(_ASKED_BY[:-1], 0.12) if not chance.odd(0.05) else frozenset(_ASKED_BY[:-1]),
        refuses={how: _draw_refusal(chance, how) for how in (*_ASKED_BY, "resume", "destroy") if chance.odd(0.08)},
        silent=chance.some(_ASKED_BY[:-1], 0.05),
        hangs=frozenset(_ASKED_BY) if stuck else chance.some(_ASKED_BY, 0.02),
        breaks=chance.some(_ASKED_BY[:-1], 0.03),
        reboots=chance.randint(1, 2) if chance.odd(0.05) else 0,
        restarts=not container and chance.odd(0.06),
        unsaveable="it has a host device" if chance.odd(0.05) else "",
        starts_after=chance.choice((2, 3, 5)) if chance.odd(0.1) else 1,
        deliveries=tuple(_draw_delivery(chance) for _ in range(5)),
        waiting=state is GuestState.OFF and chance.random() < 0.5,
        ladder=tuple((method, chance.choice((None, 5.0, 30.0, 200.0))) for method in methods),
        last_resort=chance.choice((("destroy",), ("destroy",), ("save", "destroy"), ())),
        timeout=chance.choice((10.0, 90.0, 300.0)),
        paused=chance.choice(("save", "resume", "leave")),
        transient="leave" if chance.odd(0.2) else "stop",
        manage=not chance.odd(0.06),
        restore=not chance.odd(0.06),
    )


def _draw_state(chance: Chance, *, persistent: bool, container: bool) -> GuestState:
    if persistent and chance.odd(0.12):
        return GuestState.OFF
    if not container and chance.odd(0.15):
        return chance.choice((GuestState.PAUSED, GuestState.SUSPENDED, GuestState.CRASHED))
    return GuestState.RUNNING


def _draw_refusal(chance: Chance, how: str) -> Refusal:
    # The core's own request is what is left when all else is refused: who could refuse that for ever cannot be asked.
    if how in {"default", "destroy"} or chance.random() < 0.5:
        code = chance.choice(_FOR_NOW)
        return Refusal(code=code, until=chance.seconds(0.5, 120), after=30.0 if code == 68 else 0.0)
    return Refusal(code=chance.choice(_FOR_GOOD))


def _draw_delivery(chance: Chance) -> Delivery:
    copies = 0 if chance.odd(0.08) else 2 if chance.odd(0.08) else 1
    return Delivery(copies=copies, late=chance.seconds(0.01, 4) if chance.odd(0.15) else 0.0)
