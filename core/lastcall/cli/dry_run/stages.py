"""The stages of an outage, for `plan --reason shed`: whom each of them sheds, with no guest touched."""

from lastcall.guests.busy.busy_guests import BusyGuests
from lastcall.planning.power.stage_table import PlannedStage, stage_table
from lastcall.planning.selection import Selection, TheseGuests
from lastcall.runs.assembly import Parts
from lastcall.runs.shedding.choice import Shedding


async def look_at_stages(parts: Parts, chosen: Selection) -> tuple[tuple[PlannedStage, ...], TheseGuests]:
    """The stages of those that are meant, and who is shed by one."""
    busy = BusyGuests(parts.hooks, parts.stream, parts.context.terms, parts.loop)
    limited = parts.deadline.end != float("inf")
    parallel = parts.settings.shutdown.parallel
    shedding = Shedding(parts.inventory, parts.stream, busy, parallel=parallel, limited=limited)
    everybody, order = await shedding.stages(chosen)
    return tuple(stage_table(order, everybody)), TheseGuests(keys=frozenset(order.stages))
