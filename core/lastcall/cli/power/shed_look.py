"""Whom `lastcall shed` is about: those named, or those that are due in an outage; and why nobody is, if so."""

import math
import time

from lastcall.api.guests import Key
from lastcall.errors import Severity, in_words
from lastcall.formats.quantities import format_duration
from lastcall.formats.values import value
from lastcall.guests.busy.busy_guests import BusyGuests
from lastcall.hooks.power.supplies import PowerQuestions
from lastcall.persistence.power.board import PowerBoard
from lastcall.persistence.power.called_off import CalledOff
from lastcall.persistence.power.outage import OutageFile
from lastcall.planning.selection import Selection
from lastcall.runs.assembly.parts import Parts
from lastcall.runs.shedding.choice import ShedChoice, Shedding
from lastcall.runs.shedding.earlier import shed_before
from lastcall.runs.shedding.outage import Outage, look_at_outage

_NOBODY = ShedChoice(guests={}, going=(), stages={}, staying={}, busy={})


@value
class ShedLook:
    """What was chosen, in which outage, and why nobody is shed, if so."""

    choice: ShedChoice
    outage: Outage | None = None
    because: str = ""


def open_shedding(parts: Parts) -> Shedding:
    """Have what chooses among the guests that run."""
    busy = BusyGuests(parts.hooks, parts.stream, parts.context.terms, parts.loop)
    limited = parts.deadline.end != math.inf
    return Shedding(
        parts.inventory, parts.stream, busy, parallel=parts.settings.shutdown.parallel, limited=limited
    )  # fmt: skip


async def look_whom_to_shed(parts: Parts, chosen: Selection, *, due: bool) -> ShedLook:
    """Find out whom to shed; nobody is touched."""
    terms, paths, shedding = parts.context.terms, parts.settings.paths, open_shedding(parts)
    if not due:
        return ShedLook(await shedding.named(chosen))
    questions = PowerQuestions(parts.hooks, terms, parts.loop)
    outage = await look_at_outage(PowerBoard(paths.run), OutageFile(paths.run), questions)
    because = _why_nobody(outage, CalledOff(paths.run))
    if because:
        return ShedLook(_NOBODY, outage, because)
    choice = await shedding.due(chosen, outage.power, _before(parts, outage))
    since = format_duration(round(outage.power.seconds))
    return ShedLook(choice, outage, "" if choice.going else f"nobody is due after {since} on battery")


def _why_nobody(outage: Outage, called_off: CalledOff) -> str:
    if not outage.lasts:
        return "the mains are there: nobody is shed"
    if outage.policy.on_battery == "nothing":
        return "`on_battery` is nothing: nobody is shed"
    if called_off.counts_for(outage.began):
        return "shedding was called off in this outage: nobody else is shed by itself"
    return ""


def _before(parts: Parts, outage: Outage) -> dict[Key, str]:
    try:
        return dict(shed_before(parts.settings.paths.state / "runs", time.monotonic() - outage.began))
    except (OSError, TimeoutError) as error:
        message = f"who was shed already in this outage is not known: {in_words(error)}"
        parts.stream.problem("state", str(parts.settings.paths.state), message, severity=Severity.WARNING)
        return {}
