"""The stages of an outage, for `plan --reason shed`: whom each of them sheds, with no guest touched."""

from lastcall.cli.power.shed_look import open_shedding
from lastcall.planning.power.stage_table import PlannedStage, stage_table
from lastcall.planning.selection import Selection, TheseGuests
from lastcall.runs.assembly.parts import Parts


async def look_at_stages(parts: Parts, chosen: Selection) -> tuple[tuple[PlannedStage, ...], TheseGuests]:
    """The stages of those that are meant, and who is shed by one."""
    everybody, order = await open_shedding(parts).stages(chosen)
    return tuple(stage_table(order, everybody)), TheseGuests(keys=frozenset(order.stages))
