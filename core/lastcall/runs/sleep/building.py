"""Puts the two runs around a sleep of the host together."""

from lastcall.guests.clock_sync import ClockSync
from lastcall.guests.starter import Starter
from lastcall.persistence.power.sleepers import SleeperList
from lastcall.presence.sight import Sight
from lastcall.runs.assembly.parts import Parts
from lastcall.runs.sleep.falling_asleep import FallingAsleep
from lastcall.runs.sleep.going_on import GoingOn
from lastcall.runs.sleep.going_to_sleep import GoingToSleep
from lastcall.runs.sleep.noting import Noting
from lastcall.runs.sleep.sleep_calls import SleepCalls
from lastcall.runs.sleep.sleeping_guests import SleepingGuests
from lastcall.runs.sleep.waking import Waking
from lastcall.timing.moment import Moment


def build_going_to_sleep(parts: Parts) -> GoingToSleep:
    """The run before a sleep."""
    sight = Sight(parts.hypervisor, parts.status, parts.loop, Moment(parts.loop, parts.deadline.end))
    noting = Noting(parts.context.id, parts.books, _sleeping(parts))
    falling = FallingAsleep(parts.inventory, _calls(parts), sight, parts.stream)
    return GoingToSleep(
        parts.context, parts.inventory, parts.hooks, noting, falling, sight, parts.stream,
        parallel=parts.settings.shutdown.parallel,
    )  # fmt: skip


def build_waking(parts: Parts, *, host_stops: bool = False) -> Waking:
    """The run after it; see `Waking`."""
    settings = parts.settings.restore
    starter = Starter(parts.hypervisor, parts.status, parts.stream, settings, parts.loop)
    going = GoingOn(
        parts.inventory, parts.books, _calls(parts), starter, settings, parts.stream, parts.context.terms,
        host_stops=host_stops,
    )  # fmt: skip
    return Waking(
        parts.context, parts.inventory, parts.hooks, parts.books, _sleeping(parts), going,
        ClockSync(settings, parts.context, parts.workers, parts.stream), settings, parts.stream, parts.hypervisor,
        parts.loop, host_stops=host_stops,
    )  # fmt: skip


def _sleeping(parts: Parts) -> SleepingGuests:
    return SleepingGuests(SleeperList(parts.settings.paths.run), parts.workers, parts.context.terms)


def _calls(parts: Parts) -> SleepCalls:
    return SleepCalls(parts.context, parts.hypervisor, parts.workers)
