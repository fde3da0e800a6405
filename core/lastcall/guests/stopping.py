"""What the stops of one run share."""

from collections.abc import Awaitable, Callable

from lastcall.formats.values import value
from lastcall.guests.busy.busy_guests import BusyGuests
from lastcall.guests.rungs.ladder import Ladder
from lastcall.hooks.dispatch import Hooks
from lastcall.ordering.entrance import Entrance
from lastcall.ordering.scheduler import Scheduler
from lastcall.planning.plan import PlannedGuest
from lastcall.presence.watching.neighbours import Neighbours
from lastcall.records.stream import Stream
from lastcall.timing.phases import Phases

Replan = Callable[[PlannedGuest], Awaitable[PlannedGuest]]


@value
class Stopping:
    """What the stops of one run share. `count`: how many there are at its start."""

    ladder: Ladder
    scheduler: Scheduler
    phases: Phases
    hooks: Hooks
    stream: Stream
    replan: Replan
    busy: BusyGuests
    count: int
    neighbours: Neighbours
    entrance: Entrance
