"""`lastcall plan`: the dry run."""

import asyncio
import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import click

from lastcall.api.guests import Reason, RunKind
from lastcall.api.results import Problem
from lastcall.assembly import RunRequest, assemble
from lastcall.cli import Invocation
from lastcall.commands.options import DurationType, json_option, reason_option
from lastcall.durations import format_duration
from lastcall.engine import Parts, connect
from lastcall.errors import ExitCode, LastcallError
from lastcall.hooks.dispatch import Fired
from lastcall.loading import Loaded, load
from lastcall.plan import PlannedGuest, Step, make_plan, select
from lastcall.records import GuestPlanned
from lastcall.report.plain import as_json as as_json_text
from lastcall.report.text import problem_line


@dataclass(frozen=True, slots=True)
class _Shown:
    """A planned guest with what plugins say about it."""

    planned: PlannedGuest
    unfit: dict[str, str]
    facts: dict[str, Any]


@click.command("plan")
@click.argument("guests", nargs=-1, metavar="[GUEST]...")
@reason_option
@click.option("--deadline", type=DurationType(), metavar="DURATION", help="Plan for this deadline.")
@click.option("--force", is_flag=True, help="Plan a manual run that forces guests off.")
@json_option
@click.pass_obj
def command(
    invocation: Invocation, guests: tuple[str, ...], reason: str, deadline: float | None, *, force: bool, as_json: bool
) -> int:
    """Show what a shutdown would do, without doing it: which guests, how each is asked, what comes then.

    With -v (before the command) it also shows what plugins tell about each guest.
    """
    request = RunRequest(kind=RunKind.SHUTDOWN, reason=Reason(reason), deadline=deadline, rehearsal=True)
    loaded = load(invocation.config)
    loop = asyncio.new_event_loop()
    parts = assemble(loaded, request, loop)
    shown = loop.run_until_complete(_look(parts, guests, force=force, describe=invocation.verbose))
    problems = parts.stream.story.report().problems
    click.echo(_json(parts, shown, problems) if as_json else _text(parts, loaded, shown, problems))
    return parts.stream.story.exit_code if problems else ExitCode.OK


async def _look(parts: Parts, names: tuple[str, ...], *, force: bool, describe: bool) -> list[_Shown]:
    found: list[Any] = []
    for uri in await connect(parts):
        try:
            found += sorted(await parts.hypervisor.active(uri), key=lambda guest: guest.name)
        except (LastcallError, TimeoutError) as error:
            parts.stream.problem("connection", uri, f"its guests cannot be listed: {error or 'no answer'}")
    context, limited = parts.context, parts.deadline.end != math.inf
    context.guests = tuple(select(found, names))
    plan = make_plan(context.guests, parts.settings, parts.methods, reason=context.reason, force=force, limited=limited)
    for problem in plan.problems:
        parts.stream.problem(problem.what, problem.where, problem.message, problem.remedy)
    return [await _show(parts, planned, describe=describe) for planned in plan.guests]


async def _show(parts: Parts, planned: PlannedGuest, *, describe: bool) -> _Shown:
    parts.stream.emit(GuestPlanned(at=parts.stream.now(), guest=planned.guest))
    reasons = {step.method: await parts.asker.unfit(planned.guest, step) for step in planned.steps}
    fired = await parts.hooks.fire("describe_guest", planned.guest) if describe else Fired()
    facts = {f"{plugin}.{key}": value for plugin, answer in fired.answers for key, value in answer.items()}
    return _Shown(planned, {method: why for method, why in reasons.items() if why}, facts)


def _json(parts: Parts, shown: list[_Shown], problems: tuple[Problem, ...]) -> str:
    guests = [
        {
            **dataclasses.asdict(one.planned.guest),
            "stop": [_step_facts(one, step) for step in one.planned.steps],
            "last_resort": [step.method for step in one.planned.last_resort],
            "restore": one.planned.restore,
            "left_because": one.planned.left_because or None,
            "facts": one.facts,
        }
        for one in shown
    ]
    facts = {"reason": parts.context.reason.value, "deadline": parts.deadline.remaining(parts.stream.start)}
    return as_json_text({"version": 1, "run": facts, "guests": guests, "problems": problems}, indent=1)


def _step_facts(one: _Shown, step: Step) -> dict[str, Any]:
    return {"method": step.method, "timeout": step.timeout, "unfit": one.unfit.get(step.method)}


def _text(parts: Parts, loaded: Loaded, shown: list[_Shown], problems: tuple[Problem, ...]) -> str:
    limit = format_duration(parts.deadline.remaining(parts.stream.start))
    source = ", ".join(map(str, loaded.files)) or "built-in defaults"
    lines = [f"shutdown ({parts.context.reason.value}), deadline {limit}, configured by {source}"]
    width = max((len(one.planned.guest.name) for one in shown), default=0)
    for one in shown:
        guest = one.planned.guest
        lines.append(f"  {guest.name:<{width}}  {guest.state.value:<9}  {_ladder_text(one)}")
        lines += [f"  {'':<{width}}    {name}: {value}" for name, value in one.facts.items()]
    if not shown:
        lines.append("  no active guests")
    for hook in ("pre_shutdown", "on_guest_stop", "on_guest_stopped", "post_shutdown"):
        plugins = [implementation.plugin for implementation in loaded.plugins.registry.implementations(hook)]
        if plugins:
            lines.append(f"  hook {hook}: {', '.join(plugins)}")
    return "\n".join([*lines, *map(problem_line, problems)])


def _ladder_text(one: _Shown) -> str:
    planned = one.planned
    if planned.left_because:
        return f"left alone: {planned.left_because}"
    steps = [_step_text(step, one.unfit.get(step.method)) for step in planned.steps]
    end = " → ".join(step.method for step in planned.last_resort) or "left running"
    again = "restored" if planned.restore else "not restored"
    return f"{' → '.join(steps) or 'not asked'}; else {end}; {again}"


def _step_text(step: Step, unfit: str | None) -> str:
    if unfit:
        return f"{step.method} (skipped: {unfit})"
    return (
        f"{step.method} (≤ {format_duration(step.timeout)})"
        if step.timeout
        else f"{step.method} (until the last resort)"
    )
