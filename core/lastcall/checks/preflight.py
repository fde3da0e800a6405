"""What speaks against a run going well, judging by settings and guests alone; shown by `lastcall check`."""

from collections.abc import Iterable, Iterator, Mapping

from lastcall.api.guests import Guest, Key
from lastcall.config.policies import Policies
from lastcall.errors import Problem, Severity
from lastcall.hypervisor.ports import PLAIN, GuestFacts
from lastcall.planning.plan import SAVE
from lastcall.timing.budget import PLUG

ACPI = "acpi"
SAVE_SPEED = 256 * 1024**2  # bytes a second; 2 GiB were saved in 7.9 s


def advise(
    policies: Policies, reserve: float, guests: Iterable[Guest], facts: Mapping[Key, GuestFacts]
) -> Iterator[Problem]:
    """Warnings for each guest. `reserve` is `shutdown.reserve`, in seconds."""
    for guest in guests:
        known, policy = facts.get(guest.key, PLAIN), policies.of(guest)
        if known.autostart and (policy.depends_on or policy.order is not None):
            yield _warning(
                guest,
                "autostart",
                "libvirt starts it by itself and in no order, before anybody can ask it not to",
                f"`virsh autostart --disable {guest.name}`, and `restore: always` in its settings",
            )
        if any(step.chosen[0] == SAVE for step in policy.last_resort):
            yield from _too_large(guest, known, reserve - PLUG)
        if known.deaf_to_acpi and (not policy.stop or any(step.chosen[0] == ACPI for step in policy.stop)):
            yield _warning(
                guest,
                "acpi",
                "its XML has no <acpi/> in <features>: its power button does nothing, and acpi stops it never",
                f"add it with `virsh edit {guest.name}`, or choose a ladder without acpi",
            )
        if known.restarts:
            yield _warning(
                guest,
                "on_poweroff",
                "on_poweroff is restart: whoever shuts it down gets a reboot; a run changes that while it lasts",
                "set on_poweroff to destroy in the domain's XML",
            )


def _too_large(guest: Guest, known: GuestFacts, reserve: float) -> Iterator[Problem]:
    """A last resort that saves has the reserve for it, less what pulling the plug takes."""
    needed = known.memory / SAVE_SPEED
    if known.unsaveable:
        yield _warning(guest, "last_resort", f"it cannot be saved: {known.unsaveable}", "choose another last resort")
    elif needed > max(0.0, reserve):
        message = (
            f"saving {known.memory >> 20} MiB takes about {needed:.0f} s; the reserve leaves {max(0.0, reserve):.0f} s"
        )
        yield _warning(guest, "last_resort", message, f"set shutdown.reserve to {needed + PLUG:.0f}s or more")


def _warning(guest: Guest, what: str, message: str, remedy: str) -> Problem:
    return Problem(what=what, where=guest.name, message=message, remedy=remedy, severity=Severity.WARNING)
