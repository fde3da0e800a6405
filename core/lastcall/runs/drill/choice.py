"""Whom a drill is about: those that somebody names, or all that are marked for it."""

from collections.abc import Mapping, Sequence

from lastcall.api.guests import Guest, Key
from lastcall.api.naming.guest_names import GuestNames
from lastcall.errors import HypervisorError, Severity, UsageError
from lastcall.formats.values import value
from lastcall.guests.busy.busy_guests import BusyGuests
from lastcall.planning.history import History
from lastcall.planning.plan import PlannedGuest
from lastcall.planning.selection import Selection
from lastcall.presence.inventory import Inventory
from lastcall.presence.lookup import choose_active
from lastcall.records.stream import Stream


@value
class ExpectedStop:
    """How long a guest may take: as a rule, by earlier runs, and until nobody waits any longer.

    Seconds; None where no run has seen it go, and where it is waited for to the end.
    """

    usually: float | None
    at_most: float | None


@value
class DrillChoice:
    """The guests of a drill, what is expected of each, and which are busy, and with what."""

    guests: tuple[Guest, ...]
    expected: Mapping[Key, ExpectedStop]
    busy: Mapping[Key, Sequence[str]]

    @property
    def called(self) -> GuestNames:
        """What they are called before people."""
        return GuestNames(self.guests)

    def going(self, *, even_busy: bool) -> tuple[Guest, ...]:
        """Those that are to be stopped; those that are busy only where somebody wants it."""
        return tuple(guest for guest in self.guests if even_busy or guest.key not in self.busy)

    def busy_lines(self) -> list[str]:
        """Those that are busy, each with its reasons."""
        called = self.called
        busy = ((called.of(guest), self.busy[guest.key]) for guest in self.guests if guest.key in self.busy)
        return [f"{name} is busy ({'; '.join(reasons)})" for name, reasons in busy]


async def choose_for_drill(
    inventory: Inventory,
    stream: Stream,
    history: History,
    busy: BusyGuests,
    chosen: Selection,
    *,
    parallel: int,
    limited: bool,
) -> DrillChoice:
    """Connect, and find them, by a rehearsal of the drill's shutdown; see `Inventory.plan`.

    Raises UsageError where a word fits nobody, and where nothing is said and nobody is marked; HypervisorError
    where they may be on a connection that could not be had.
    """
    connections = inventory.connections
    await connections.connect()
    # Who names guests means them, marked or not.
    guests = choose_active(chosen, await connections.active(), stream)
    await inventory.learn(guests)
    if not chosen.words:
        guests = [guest for guest in guests if inventory.policies.of(guest).drill]
    if not guests:
        # Those that are marked may run where nobody could look.
        wrong = [one for one in stream.story.report().problems if one.severity is Severity.ERROR]
        if wrong:
            raise HypervisorError(f"{wrong[0].where}: {wrong[0].message}", wrong[0].remedy)
        raise UsageError(
            "no active guest is marked for drills", "name guests, or give some `drill: true` in rules or metadata"
        )
    plan = await inventory.plan(guests, parallel, limited=limited)
    expected = {planned.guest.key: _expected(planned, history) for planned in plan.guests}
    return DrillChoice(tuple(guests), expected, await busy.ask(guests))


def _expected(planned: PlannedGuest, history: History) -> ExpectedStop:
    usual = history.usual(planned.guest.key)
    return ExpectedStop(usual.seconds if usual else None, _at_most(planned))


def _at_most(planned: PlannedGuest) -> float | None:
    times = [step.timeout for step in planned.steps]
    return None if None in times else sum(time for time in times if time is not None)
