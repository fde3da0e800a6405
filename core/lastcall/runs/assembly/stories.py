"""Builds the two stories of the parts of a run; what one of them needs the other does not load."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lastcall.api.guests import Key, Reason
from lastcall.planning.selection import EVERYBODY, Selection
from lastcall.runs.assembly.parts import Parts

if TYPE_CHECKING:
    from lastcall.runs.restore import Restore
    from lastcall.runs.shutdown import Shutdown


def build_shutdown(
    parts: Parts,
    *,
    chosen: Selection = EVERYBODY,
    force: bool = False,
    stages: Mapping[Key, str] | None = None,
    yes_neighbours: bool = False,
) -> "Shutdown":
    """The shutdown of all active guests, or of those chosen. `force` lets a voluntary run take the last resort.

    `stages`: by which stage of an outage each is shed, in words. `yes_neighbours`: also where a neighbour's guest goes
    on that needs one of them.
    """
    from lastcall.guests.rungs.ladder import Ladder
    from lastcall.guests.rungs.rung_tools import RungTools
    from lastcall.hooks.power.supplies import PowerQuestions
    from lastcall.persistence.power.board import PowerBoard
    from lastcall.presence.sight import Sight
    from lastcall.runs.meanwhile.power_off import PowerOff
    from lastcall.runs.shutdown import Shutdown, ShutdownPlanning
    from lastcall.timing.phases import Phases

    phases = Phases(parts.loop, parts.context.terms, parts.stream, own=parts.own, force=force)
    sight = Sight(parts.hypervisor, parts.status, parts.loop, phases.last_hook)
    tools = RungTools(
        parts.asker, sight, parts.stream, phases.hung_plug, lambda: phases.turned, phases.last_ask,
        parts.books.note_move,
    )  # fmt: skip
    ladder = Ladder(tools)
    wanted = ShutdownPlanning(
        chosen=chosen,
        stages=stages or {},
        parallel=parts.settings.shutdown.parallel,
        pre_budget=parts.settings.hooks.pre_budget,
        spares_neighbours=parts.context.terms.reason in {Reason.MANUAL, Reason.DRILL} and not yes_neighbours,
    )
    terms = parts.context.terms
    power_off = PowerOff(
        PowerQuestions(parts.hooks, terms, parts.loop), PowerBoard(parts.settings.paths.run), parts.stream,
        parts.workers, terms, parts.reboots,
    )  # fmt: skip
    return Shutdown(wanted, parts.context, parts.inventory, phases, ladder, parts.hooks, parts.books, power_off)


def build_restore(
    parts: Parts,
    *,
    chosen: Selection = EVERYBODY,
    at_boot: bool = False,
    fresh: bool = False,
    insists: bool = False,
) -> "Restore":
    """The restore of all that wait, of those chosen (`fresh`: without their images), or of what is due `at_boot`.

    `insists`: a first Ctrl-C does not end it.
    """
    from lastcall.guests.clock_sync import ClockSync
    from lastcall.guests.readiness import Readiness
    from lastcall.guests.starter import Starter
    from lastcall.hooks.power.supplies import PowerQuestions
    from lastcall.persistence.power.awaited_charge import ChargeNote
    from lastcall.runs.fleet.lock_return import LockReturn
    from lastcall.runs.meanwhile.charge import ChargeWait
    from lastcall.runs.restore import Restore, StartTools
    from lastcall.runs.returning.choice import RestorePlanning

    settings = parts.settings.restore
    tools = StartTools(
        Starter(parts.hypervisor, parts.status, parts.stream, settings, parts.loop),
        Readiness(parts.hooks, parts.policies, settings, parts.context.terms),
        ClockSync(settings, parts.context, parts.workers, parts.stream),
    )
    questions = PowerQuestions(parts.hooks, parts.context.terms, parts.loop)
    charge = ChargeWait(
        questions, parts.stream, parts.workers, ChargeNote(parts.settings.paths.run), parts.loop,
        parts.deadline.remaining(parts.stream.start),
    )  # fmt: skip
    wanted = RestorePlanning(settings=settings, chosen=chosen, at_boot=at_boot, fresh=fresh, insists=insists)
    return Restore(
        wanted, parts.context, parts.inventory, tools, parts.hooks, parts.books, parts.stream, parts.hypervisor,
        parts.loop, charge if at_boot else None,
        LockReturn(parts.settings, parts.stream, parts.workers, parts.context.terms),
    )  # fmt: skip
