"""Whom to shed: those whose stage has come, or those that somebody names; and who stays all the same, and why."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from lastcall.api.guest_keys import GuestShedding
from lastcall.api.guests import Guest, GuestState, Key
from lastcall.api.naming.guest_names import GuestNames
from lastcall.errors import UsageError
from lastcall.formats.values import value
from lastcall.guests.busy.busy_guests import BusyGuests
from lastcall.planning.plan import Plan
from lastcall.planning.power.stages import BatteryState, NextStage, SheddingOrder, ShedStage, sheddings
from lastcall.planning.selection import Selection
from lastcall.presence.inventory import Inventory
from lastcall.presence.lookup import choose_active
from lastcall.records.stream import Stream

_NOW = BatteryState(seconds=0.0)


@value(kw_only=True)
class ShedChoice:
    """`going` are to be shed, by their `stages` where these have come; `staying`: who is not, and why.

    `busy`: those of them that are, and with what. `coming`: what comes next.
    """

    guests: Mapping[Key, Guest]
    going: tuple[Guest, ...]
    stages: Mapping[Key, ShedStage]
    staying: Mapping[Key, str]
    busy: Mapping[Key, Sequence[str]]
    coming: tuple[NextStage, ...] = ()

    @property
    def called(self) -> GuestNames:
        """What they are called before people."""
        return GuestNames(self.guests.values())


class Shedding:
    """Looks at all guests that run, and chooses among them. `limited`: the run has a deadline."""

    def __init__(self, inventory: Inventory, stream: Stream, busy: BusyGuests, *, parallel: int, limited: bool) -> None:
        self._inventory, self._stream, self._busy = inventory, stream, busy
        self._parallel, self._limited = parallel, limited

    async def due(self, chosen: Selection, power: BatteryState, before: Mapping[Key, str]) -> ShedChoice:
        """Those whose stage has come, and that of everybody who needs them. `before`: who was shed already, and what is
        said of that.

        Raises UsageError where a word fits nobody.
        """
        everybody, plan, guests = await self._look()
        meant = {guest.key for guest in choose_active(chosen, everybody, self._stream)}
        wanted = {key: shed for key, shed in self._sheddings(everybody).items() if key in meant}
        staying = _staying(plan, before)
        order = SheddingOrder(_without(wanted, staying), plan.graph)
        busy = await self._busy.ask(guest for guest in everybody if guest.key in order.due(power))
        # Whoever is busy now is asked for again at the next look, and whoever it needs waits for it.
        staying |= {key: f"busy: {'; '.join(reasons)}" for key, reasons in busy.items()}
        order = SheddingOrder(_without(wanted, staying), plan.graph)
        called = GuestNames(guests.values())
        staying |= {key: f"needed by {_names(called, others)}" for key, others in order.waiting(power).items()}
        due, own = order.due(power), SheddingOrder(wanted, plan.graph).own(power)
        return ShedChoice(
            guests=guests, going=tuple(guest for guest in everybody if guest.key in due), stages=due,
            staying={key: why for key, why in staying.items() if key in own}, busy=busy, coming=order.coming(power),
        )  # fmt: skip

    async def named(self, chosen: Selection) -> ShedChoice:
        """Those that somebody means. Raises UsageError where a word fits nobody, or somebody who stays needs one."""
        everybody, plan, guests = await self._look()
        going = choose_active(chosen, everybody, self._stream)
        left = {planned.guest.key: planned.left_because for planned in plan.guests if planned.left_because}
        order = SheddingOrder({one.key: GuestShedding(after=0) for one in going if one.key not in left}, plan.graph)
        waiting = order.waiting(_NOW)
        if waiting:
            called = GuestNames(guests.values())
            told = (f"{called[key]} is needed by {_names(called, others)}" for key, others in waiting.items())
            raise UsageError(f"nobody is shed: {'; '.join(told)}", "name those as well, or leave it to the host stop")
        return ShedChoice(
            guests=guests, going=tuple(going), stages={}, staying={}, busy=await self._busy.ask(going)
        )  # fmt: skip

    async def stages(self, chosen: Selection) -> tuple[Sequence[Guest], SheddingOrder]:
        """By what those that are meant would be shed in an outage, of the guests that run, which are returned, too."""
        everybody, plan, _ = await self._look()
        meant = {guest.key for guest in choose_active(chosen, everybody, self._stream)}
        wanted = {key: shed for key, shed in self._sheddings(everybody).items() if key in meant}
        return everybody, SheddingOrder(_without(wanted, _staying(plan, {})), plan.graph)

    async def _look(self) -> tuple[Sequence[Guest], Plan, dict[Key, Guest]]:
        """Those of this host, the plan, and whoever has a part in it: a neighbour's guest is as much in need."""
        connections = self._inventory.connections
        await asyncio.gather(connections.connect(), connections.neighbours.open())
        everybody = await connections.active()
        beside = await self._inventory.neighbours(everybody)
        await self._inventory.learn(everybody)
        plan = await self._inventory.plan(everybody, self._parallel, limited=self._limited, neighbours=beside)
        return everybody, plan, {guest.key: guest for guest in (*everybody, *beside)}

    def _sheddings(self, guests: Iterable[Guest]) -> dict[Key, GuestShedding]:
        return sheddings(guests, self._inventory.policies)


def _staying(plan: Plan, before: Mapping[Key, str]) -> dict[Key, str]:
    """Who is not shed, whatever its stage, and why."""
    staying = dict(before)
    for planned in plan.guests:
        state = planned.guest.state
        if planned.left_because:
            staying[planned.guest.key] = planned.left_because
        elif state is not GuestState.RUNNING:
            # Somebody may have paused it for a reason, and woken up it would draw more than it does now.
            staying[planned.guest.key] = f"{state.value}: it draws next to nothing, and is left to the host stop"
    return staying


def _without(wanted: Mapping[Key, GuestShedding], staying: Mapping[Key, str]) -> dict[Key, GuestShedding]:
    return {key: shed for key, shed in wanted.items() if key not in staying}


def _names(called: GuestNames, keys: Iterable[Key]) -> str:
    return ", ".join(sorted(called[key] for key in keys))
