"""`lastcall plan`: the dry run."""

import asyncio
import dataclasses
from collections.abc import Mapping
from itertools import chain

import click

from lastcall.api.guests import GuestState, Key, Reason, RunKind
from lastcall.cli.documents.plan import (
    Chain,
    GuestPlan,
    Milestones,
    PlanDocument,
    PlannedCall,
    PlannedRun,
    RungFacts,
)
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import DurationType, json_option, reason_option, selection_arguments
from lastcall.cli.progress import tell_trace, trace_sinks
from lastcall.errors import ExitCode, LastcallError, Problem, Severity, UsageError
from lastcall.formats.json_text import to_json
from lastcall.formats.quantities import format_duration
from lastcall.formats.values import value
from lastcall.formats.visible_text import page
from lastcall.hooks.dispatch import Fired
from lastcall.ordering.nodes import names_of
from lastcall.planning.forecast import Forecast
from lastcall.planning.history import History
from lastcall.planning.plan import Plan, PlannedGuest, with_last_request
from lastcall.planning.selection import Selection
from lastcall.planning.worst_case import HookTime, Outlook, look_ahead
from lastcall.presence.lookup import choose_active
from lastcall.presence.session_uris import by_hand_only
from lastcall.records.records import GuestPlanned
from lastcall.report import timetable
from lastcall.report.text import problem_lines
from lastcall.report.timetable import Line
from lastcall.runs.assembly import Parts, RunRequest, assemble
from lastcall.runs.loading import Loaded, load
from lastcall.timing.budget import PLUG, STEP
from lastcall.timing.deadline import Deadline


@value
class PlanSeen:
    """The plan, what it is going to be like, and what plugins say about each guest."""

    plan: Plan
    outlook: Outlook
    lines: list[Line]


@click.command("plan", short_help="Show what a shutdown would do; nothing is touched.")
@selection_arguments
@reason_option(None)
@click.option("--manual", is_flag=True, help="Plan a run by hand; the same as --reason manual.")
@click.option("--deadline", type=DurationType(), metavar="DURATION", help="Plan for this deadline.")
@click.option("--force", is_flag=True, help="Plan a manual run that forces guests off.")
@json_option(PlanDocument)
@click.pass_obj
def plan_command(
    invocation: Invocation,
    chosen: Selection,
    reason: str | None,
    deadline: float | None,
    *,
    manual: bool,
    force: bool,
    as_json: bool,
) -> int:
    """Show what a shutdown would do, without doing it: who is asked when and how, what comes then, and if it fits.

    As it is, the one of a host that is powered off. With guests, by name, UUID or quoted glob, with --force or
    --manual, it is what `lastcall shutdown` does by hand.

    `usually` is when a guest would be asked by the times of earlier runs, `latest` when every time that is configured
    is used up. With -v (before the command) it also shows what plugins tell about each guest.
    """
    why = _reason(reason, manual=manual, by_hand=force or bool(chosen))
    request = RunRequest(
        kind=RunKind.SHUTDOWN, reason=why, deadline=deadline, rehearsal=True, sinks=trace_sinks(invocation)
    )
    loaded = load(invocation.config).for_reason(why)
    loop = asyncio.new_event_loop()
    parts = assemble(loaded, request, loop)
    parts.stream.problems(loaded.plugins.registry.stray_names())
    seen = loop.run_until_complete(look_at_plan(parts, chosen, invocation))
    problems = parts.stream.story.report().problems
    forced = force or not why.voluntary
    click.echo(
        plan_json(parts, loaded, seen, problems) if as_json else _text(parts, loaded, seen, problems, forced=forced)
    )
    errors = [problem for problem in problems if problem.severity is Severity.ERROR]
    # Nobody has been stopped, so the story is never as planned: its code counts only where something is wrong.
    return parts.stream.story.exit_code if errors else ExitCode.OK


def _reason(given: str | None, *, manual: bool, by_hand: bool) -> Reason:
    """Whoever asks for no run in particular wants to know what happens when the host stops."""
    if manual and given not in {None, Reason.MANUAL}:
        raise UsageError(f"--manual and --reason {given} are two different runs", "leave one of them out")
    if given:
        return Reason(given)
    return Reason.MANUAL if manual or by_hand else Reason.POWEROFF


async def look_at_plan(parts: Parts, chosen: Selection, invocation: Invocation) -> PlanSeen:
    """Connect, plan for those chosen, and look ahead; problems go to the stream."""
    inventory, connections = parts.inventory, parts.connections
    parallel = parts.settings.shutdown.parallel
    await connections.connect()
    everybody = await connections.active()
    guests = choose_active(chosen, everybody, parts.stream)
    parts.context.guests = tuple(guests)
    for guest in guests:
        parts.stream.emit(GuestPlanned(at=parts.stream.now(), guest=guest))
    await inventory.learn(guests)
    plan = await inventory.plan(guests, parallel, limited=parts.deadline.end != float("inf"))
    history = History(parts.settings.paths.state)
    history.load()
    unfit = await asyncio.gather(*(_unfit(parts, planned, invocation) for planned in plan.guests))
    plan = dataclasses.replace(plan, guests=tuple(map(with_last_request, plan.guests, unfit)))
    if not parts.settings.restore.brings_back:
        # The run lists them all the same, for who names one to `lastcall restore`; to say "restored" would promise it.
        plan = dataclasses.replace(plan, guests=tuple(dataclasses.replace(one, restore=False) for one in plan.guests))
    meant = dataclasses.replace(plan, guests=tuple(map(_without, plan.guests, unfit)))
    outlook = look_ahead(meant, history, connections.limits(parallel), _hook_time(parts, plan), _from_start(parts))
    _report(parts, plan, outlook)
    await inventory.warn_of_those_left(everybody, {guest.key for guest in guests})
    waits, called = plan.graph.needed_by, {guest.key: guest.name for guest in guests}
    lines = [
        _line(parts, planned, names_of(waits[planned.guest.key], called), why, describe=invocation.verbose)
        for planned, why in zip(plan.guests, unfit, strict=True)
    ]
    return PlanSeen(plan, outlook, await asyncio.gather(*lines))


def _report(parts: Parts, plan: Plan, outlook: Outlook) -> None:
    unfit = outlook.problem({planned.guest.key: planned.guest.name for planned in plan.guests})
    parts.stream.problems((*plan.problems, *([unfit] if unfit else [])))
    if not parts.context.terms.reason.voluntary:
        configured = (one.uri for one in parts.settings.connections)
        parts.stream.problems(by_hand_only((*parts.connections.uris, *configured)))
    if not (outlook.deadline.confirms or parts.context.terms.reason.voluntary):
        left = format_duration(round(outlook.deadline.last_hook - outlook.deadline.last_resort, 1))
        message = (
            f"leaves {left} for the last resort; a QEMU that hangs needs {PLUG:.0f} s, and is reported as still running"
        )
        parts.stream.problem("deadline", "shutdown.reserve", message, "more deadline, more reserve", Severity.WARNING)


def _hook_time(parts: Parts, plan: Plan) -> HookTime:
    """The most that the hooks may take, by their boxes."""
    hooks = parts.settings.hooks
    before = min(parts.hooks.boxes("pre_shutdown"), hooks.pre_budget, STEP.of(parts.deadline.remaining(0.0) or 0.0))
    guests = {one.guest.key: parts.hooks.boxes("on_guest_stop", one.guest, one.hook_timeout) for one in plan.guests}
    return HookTime(before=before if parts.hooks.listens("pre_shutdown") else 0.0, guests=guests)


def _from_start(parts: Parts) -> Deadline:
    """The milestones as seconds from the start of the run."""
    moments = dataclasses.astuple(parts.deadline)
    return Deadline(*(moment - parts.stream.start for moment in moments))


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
    parts: Parts, planned: PlannedGuest, after: tuple[str, ...], unfit: dict[str, str], *, describe: bool
) -> Line:
    fired = await parts.hooks.fire("describe_guest", planned.guest) if describe else Fired()
    parts.stream.problems(fired.problems(planned.guest))
    facts = {f"{plugin}.{key}": value for plugin, answer in fired.answers for key, value in answer.items()}
    return Line(planned, after, unfit, facts)


def plan_json(parts: Parts, loaded: Loaded, seen: PlanSeen, problems: tuple[Problem, ...]) -> str:
    """The plan as JSON, as `lastcall plan --json` prints it."""
    outlook = seen.outlook
    guests = tuple(_guest_facts(outlook, line) for line in seen.lines)
    deadline = {name: None if at == float("inf") else at for name, at in dataclasses.asdict(outlook.deadline).items()}
    run = PlannedRun(
        reason=parts.context.terms.reason,
        deadline=parts.deadline.remaining(parts.stream.start),
        milestones=Milestones(**deadline),
        fits=outlook.fits,
        usual=_chain(outlook.usual.total, outlook.usual.path, seen),
        worst=_chain(outlook.before + outlook.worst.total, outlook.worst.path, seen),
    )
    hooks = {
        hook: tuple(PlannedCall(plugin, why or None) for plugin, why in calls.items())
        for hook, calls in _calls(parts, loaded, seen).items()
    }
    return to_json(PlanDocument(run=run, guests=guests, hooks=hooks, problems=problems), indent=1)


def _chain(total: float, path: tuple[Key, ...], seen: PlanSeen) -> Chain:
    names = {line.planned.guest.key: line.planned.guest.name for line in seen.lines}
    return Chain(round(total, 2), tuple(names[key] for key in path))


def _span(forecast: Forecast, key: Key) -> float:
    return forecast.ends.get(key, 0.0) - forecast.starts.get(key, 0.0)


def _guest_facts(outlook: Outlook, line: Line) -> GuestPlan:
    planned, key = line.planned, line.planned.guest.key
    return GuestPlan(
        **dataclasses.asdict(planned.guest),
        waits_for=line.after,
        asked_usually=None if key in outlook.unknown else round(outlook.usual.starts.get(key, 0.0), 2),
        asked_latest=round(outlook.latest(key), 2),
        takes_usually=None if key in outlook.unknown else round(_span(outlook.usual, key), 2),
        takes_at_worst=None if key in outlook.endless else round(_span(outlook.worst, key), 2),
        stop=tuple(RungFacts(step.method, step.timeout, line.unfit.get(step.method)) for step in planned.steps),
        last_resort=tuple(step.method for step in planned.last_resort),
        restore=planned.restore,
        left_because=planned.left_because or None,
        facts=line.facts,
    )


def _text(parts: Parts, loaded: Loaded, seen: PlanSeen, problems: tuple[Problem, ...], *, forced: bool) -> str:
    source = ", ".join(map(str, loaded.document.files)) or "built-in defaults"
    lines = [f"shutdown ({parts.context.terms.reason.value}), configured by {source}"]
    lines += timetable.as_lines(seen.lines, seen.outlook, forced=forced)
    for hook, calls in _calls(parts, loaded, seen).items():
        named = [f"{plugin} ({why})" if why else plugin for plugin, why in calls.items()]
        lines.append(f"  hook {hook}: {', '.join(named)}")
    return page([*lines, *chain.from_iterable(map(problem_lines, problems))])


def _calls(parts: Parts, loaded: Loaded, seen: PlanSeen) -> dict[str, dict[str, str]]:
    """The hooks that the run fires, each with its plugins in firing order, and why one of them is not called."""
    reason, guests = parts.context.terms.reason, [line.planned.guest for line in seen.lines]
    found: dict[str, dict[str, str]] = {}
    for hook in ("pre_shutdown", "on_guest_stop", "on_guest_stuck", "on_guest_stopped", "post_shutdown"):
        ones = loaded.plugins.registry.implementations(hook)
        if hook.startswith("on_guest_"):
            ones = [one for one in ones if any(parts.context.concerns(one.plugin, guest) for guest in guests)]
        if ones:
            found[hook] = {one.plugin: one.occasions.refusal(hook, reason, rehearsal=False) for one in ones}
    return found
