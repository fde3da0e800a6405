"""What speaks against a run going well, judging by settings and guests alone; shown by `lastcall check`."""

from collections.abc import Iterable, Iterator, Mapping

from lastcall.api.guests import Guest
from lastcall.api.results import Problem, Severity
from lastcall.deadline import PLUG
from lastcall.engine import Parts
from lastcall.plan import SAVE
from lastcall.records import Key
from lastcall.traits import PLAIN, Traits

SAVE_SPEED = 256 * 1024**2  # bytes a second; 2 GiB were saved in 7.9 s


def advise(parts: Parts, guests: Iterable[Guest], traits: Mapping[Key, Traits]) -> Iterator[Problem]:
    """Warnings for each guest."""
    for guest in guests:
        known, policy = traits.get(guest.key, PLAIN), parts.policies.of(guest)
        if known.autostart and (policy.depends_on or policy.order is not None):
            yield _warning(
                guest,
                "autostart",
                "libvirt starts it by itself and in no order, before anybody can ask it not to",
                f"`virsh autostart --disable {guest.name}`, and `restore: always` in its settings",
            )
        if any(step.chosen[0] == SAVE for step in policy.last_resort):
            yield from _too_large(parts, guest, known)
        if known.restarts:
            yield _warning(
                guest,
                "on_poweroff",
                "on_poweroff is restart: whoever shuts it down gets a reboot; a run changes that while it lasts",
                "set on_poweroff to destroy in the domain's XML",
            )


def _too_large(parts: Parts, guest: Guest, known: Traits) -> Iterator[Problem]:
    """A last resort that saves has the reserve for it, less what pulling the plug takes."""
    needed, reserve = known.memory / SAVE_SPEED, parts.settings.shutdown.reserve - PLUG
    if known.unsaveable:
        yield _warning(guest, "last_resort", f"it cannot be saved: {known.unsaveable}", "choose another last resort")
    elif needed > max(0.0, reserve):
        message = (
            f"saving {known.memory >> 20} MiB takes about {needed:.0f} s; the reserve leaves {max(0.0, reserve):.0f} s"
        )
        yield _warning(guest, "last_resort", message, f"set shutdown.reserve to {needed + PLUG:.0f}s or more")


def _warning(guest: Guest, what: str, message: str, remedy: str) -> Problem:
    return Problem(what=what, where=guest.name, message=message, remedy=remedy, severity=Severity.WARNING)
