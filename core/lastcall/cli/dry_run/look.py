"""What is found out for `plan`: who would be stopped how and when, with every plugin asked and no guest touched."""

import asyncio
import dataclasses
from collections.abc import Iterable, Iterator, Mapping

from lastcall.api.guests import Guest, GuestState
from lastcall.checks.times.cut_timeouts import cut_timeouts
from lastcall.cli.invocation import Invocation
from lastcall.cli.progress import tell_trace
from lastcall.config.policies import Layer
from lastcall.errors import LastcallError, Problem, Severity
from lastcall.formats.quantities import format_duration
from lastcall.formats.values import value
from lastcall.hooks.dispatch import Fired
from lastcall.ordering.nodes import Node
from lastcall.planning.history import History
from lastcall.planning.plan import Plan, PlannedGuest, with_last_request
from lastcall.planning.selection import Selection
from lastcall.planning.worst_case import Outlook, look_ahead
from lastcall.presence.lookup import choose_active
from lastcall.presence.session_uris import by_hand_only
from lastcall.records.records import GuestPlanned
from lastcall.report.timetable import Line
from lastcall.runs.assembly.parts import Parts
from lastcall.timing.budget import PLUG


@value
class PlanSeen:
    """The plan, what it is going to be like, what plugins say about each guest, and what earlier runs tell.

    `unfit`: what speaks against it by the times that are configured.
    """

    plan: Plan
    outlook: Outlook
    lines: list[Line]
    history: History
    unfit: tuple[Problem, ...]


async def look_at_plan(parts: Parts, chosen: Selection, invocation: Invocation) -> PlanSeen:
    """Connect, plan for those chosen, and look ahead; problems go to the stream."""
    inventory, connections = parts.inventory, parts.connections
    parallel = parts.settings.shutdown.parallel
    await asyncio.gather(connections.connect(), connections.neighbours.open())
    everybody = await connections.active()
    neighbours = await inventory.neighbours(everybody)
    guests = choose_active(chosen, everybody, parts.stream)
    parts.context.guests = tuple(guests)
    for guest in guests:
        parts.stream.emit(GuestPlanned(at=parts.stream.now(), guest=guest))
    await inventory.learn(guests)
    limited = parts.deadline.end != float("inf")
    plan = await inventory.plan(guests, parallel, limited=limited, neighbours=neighbours)
    history = History(parts.settings.paths.state)
    history.load()
    unfit = await asyncio.gather(*(_unfit(parts, planned, invocation) for planned in plan.guests))
    plan = dataclasses.replace(plan, guests=tuple(map(with_last_request, plan.guests, unfit)))
    if not parts.settings.restore.brings_back:
        # The run lists them all the same, for who names one to `lastcall restore`; to say "restored" would promise it.
        plan = dataclasses.replace(plan, guests=tuple(dataclasses.replace(one, restore=False) for one in plan.guests))
    meant = dataclasses.replace(plan, guests=tuple(map(_without, plan.guests, unfit)))
    left = parts.deadline.remaining(parts.stream.start)
    hooks = parts.inventory.hook_boxes(plan, parts.settings.hooks.pre_budget, left).with_usual(history)
    known = history.usual_of(planned.guest.key for planned in plan.guests)
    outlook = look_ahead(meant, known, connections.limits(parallel), hooks, parts.deadline.since(parts.stream.start))
    unfit_times = tuple(_of_times(parts, plan, outlook))
    _report(parts, plan, unfit_times)
    await inventory.warn_of_those_left(everybody, {guest.key for guest in guests})
    waits = plan.graph.needed_by
    lines = [
        _line(parts, planned, tuple(waits[planned.guest.key]), why, describe=invocation.verbose)
        for planned, why in zip(plan.guests, unfit, strict=True)
    ]
    return PlanSeen(plan, outlook, await asyncio.gather(*lines), history, unfit_times)


def _report(parts: Parts, plan: Plan, unfit: Iterable[Problem]) -> None:
    parts.stream.problems((*plan.problems, *unfit))
    if not parts.context.terms.reason.voluntary:
        configured = (one.uri for one in parts.settings.connections)
        parts.stream.problems(by_hand_only((*parts.connections.uris, *configured)))


def _of_times(parts: Parts, plan: Plan, outlook: Outlook) -> Iterator[Problem]:
    unfit = outlook.problem(plan.called)
    if unfit:
        yield unfit
    yield from cut_timeouts([one.guest for one in plan.guests], outlook.hooks, parts.context.options)
    if not (outlook.deadline.confirms or parts.context.terms.reason.voluntary):
        left = format_duration(round(outlook.deadline.last_hook - outlook.deadline.last_resort, 1))
        message = (
            f"leaves {left} for the last resort; a QEMU that hangs needs {PLUG:.0f} s, and is reported as still running"
        )
        remedy = "more deadline, more reserve"
        yield Problem(
            what="deadline", where="shutdown.reserve", message=message, remedy=remedy, severity=Severity.WARNING
        )


async def _unfit(parts: Parts, planned: PlannedGuest, invocation: Invocation) -> dict[str, str]:
    """The rungs that are no use for the guest as it is now, and why; a method that fails is a problem besides."""
    reasons, guest = dict[str, str](), planned.guest
    for step in planned.steps:
        why = await parts.asker.unfit(guest, step)
        if isinstance(why, LastcallError):
            parts.stream.problem("plugin", f"{step.method} of {guest.name}", str(why), why.remedy)
            tell_trace(why, invocation)
        reasons[step.method] = str(why)
        guest = dataclasses.replace(guest, state=GuestState.RUNNING) if step.prepares else guest
    return {method: why for method, why in reasons.items() if why}


def _without(planned: PlannedGuest, unfit: Mapping[str, str]) -> PlannedGuest:
    """The guest as it is going to be stopped: a rung that is skipped takes no time."""
    return dataclasses.replace(planned, steps=tuple(step for step in planned.steps if step.method not in unfit))


async def _line(
    parts: Parts, planned: PlannedGuest, after: tuple[Node, ...], unfit: dict[str, str], *, describe: bool
) -> Line:
    fired = await parts.hooks.fire("describe_guest", planned.guest) if describe else Fired()
    parts.stream.problems(fired.problems(planned.guest))
    # Who is left alone is asked nothing, and waits for nobody.
    waits = Fired() if planned.left_because else await parts.hooks.fire("guest_waits", planned.guest)
    parts.stream.problems(waits.problems(planned.guest))
    outside = tuple(name for _, answer in waits.answers for name in answer)
    facts = {f"{plugin}.{key}": value for plugin, answer in fired.answers for key, value in answer.items()}
    sources = tuple(_sources(parts, planned.guest)) if describe else ()
    return Line(planned, after, outside, unfit, facts, sources)


def _sources(parts: Parts, guest: Guest) -> Iterator[str]:
    """Where a guest's settings come from, those of plugins, too."""
    found = dict[str, str]()
    for layer in (Layer("defaults", parts.settings.defaults), *parts.policies.layers(guest)):
        policy = layer.policy
        given = [key for key in type(policy).model_fields if key in policy.model_fields_set and key != "match"]
        found |= dict.fromkeys(given, layer.called)
    for source in dict.fromkeys(found.values()):
        yield f"{', '.join(key for key, said in found.items() if said == source)}: {source}"
    yield "all else: built-in" if found else "all settings: built-in"
