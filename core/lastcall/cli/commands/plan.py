"""`lastcall plan`: the dry run."""

import asyncio
from collections.abc import Iterator, Sequence

import click

from lastcall.api.guests import Reason, RunKind
from lastcall.cli.documents.plan import PlanDocument
from lastcall.cli.dry_run.facts import plan_json, planned_calls
from lastcall.cli.dry_run.look import PlanSeen, look_at_plan
from lastcall.cli.dry_run.next_stop import keep_for_status
from lastcall.cli.dry_run.stages import look_at_stages
from lastcall.cli.dry_run.within import look_within
from lastcall.cli.invocation import Invocation
from lastcall.cli.options import DurationType, json_option, reason_option, selection_arguments
from lastcall.cli.progress import trace_sinks
from lastcall.errors import ExitCode, Problem, Severity, UsageError
from lastcall.formats.layout.columns import paragraph
from lastcall.formats.layout.screen import Screen
from lastcall.formats.values import value
from lastcall.planning.power.stage_table import PlannedStage, stage_lines
from lastcall.planning.selection import Selection
from lastcall.planning.within.verdict import TimeVerdict
from lastcall.report import timetable
from lastcall.report.text import all_problem_lines
from lastcall.report.time_verdict import within_lines
from lastcall.runs.assembly.parts import Parts, assemble
from lastcall.runs.loading import Loaded, load
from lastcall.runs.request import RunRequest


@click.command("plan", short_help="Show what a shutdown would do; nothing is touched.")
@selection_arguments
@reason_option(None)
@click.option("--manual", is_flag=True, help="Plan a run by hand; the same as --reason manual.")
@click.option(
    "--within",
    type=DurationType(some=True),
    metavar="DURATION",
    help="Say who would be forced off if the power goes in this time, and which settings would avoid it.",
)
@click.option("--deadline", type=DurationType(some=True), metavar="DURATION", help="Plan for this deadline.")
@click.option("--force", is_flag=True, help="Plan a manual run that forces guests off.")
@json_option(PlanDocument)
@click.pass_obj
def plan_command(
    invocation: Invocation,
    chosen: Selection,
    reason: str | None,
    deadline: float | None,
    within: float | None,
    *,
    manual: bool,
    force: bool,
    as_json: bool,
) -> int:
    """Show what a shutdown would do, without doing it: who is asked when and how, what comes then, and if it fits.

    Without options or guests it plans the shutdown of a host that is powered off. With guests, by name, UUID or quoted
    glob, with --force or --manual, it plans what `lastcall shutdown` does by hand.

    `usually` is when a guest would be asked by the times of earlier runs, `latest` when every time that is configured
    is used up. With -v (before the command) it also shows where each value comes from, and what plugins tell about
    each guest.

    With --reason shed it shows the stages in which guests are shed while a battery carries the host, and how those go.

    With --within, for a host whose power goes in so much time, it says who would be forced off, the smallest changes of
    settings that avoid it, and the least time that would do; nothing is changed.
    """
    why = _reason(reason, manual=manual, by_hand=force or bool(chosen), within=within)
    limit = _time_given(deadline, within)
    request = RunRequest(
        kind=RunKind.SHUTDOWN, reason=why, deadline=limit, rehearsal=True, sinks=trace_sinks(invocation)
    )
    planned = _look(load(invocation.config).for_reason(why), request, chosen, invocation, within)
    if not chosen and limit is None and why is Reason.POWEROFF:
        keep_for_status(planned.parts, planned.seen, planned.loaded)
    if as_json:
        problems = planned.problems
        click.echo(plan_json(planned.parts, planned.loaded, planned.seen, problems, planned.verdict, planned.stages))
    else:
        forced = force or not why.voluntary
        screen = invocation.screen()
        text = _text(planned, screen, forced=forced, whence=invocation.verbose)
        click.echo("\n".join([*_stages(planned.stages, screen), text]))
    errors = [problem for problem in planned.problems if problem.severity is Severity.ERROR]
    # Nobody has been stopped, so the story is never as planned: its code counts only where something is wrong.
    return planned.parts.stream.story.exit_code if errors else ExitCode.OK


@value
class _Planned:
    """What was found out; `verdict` where somebody has asked `--within`."""

    parts: Parts
    loaded: Loaded
    seen: PlanSeen
    verdict: TimeVerdict | None
    stages: tuple[PlannedStage, ...] | None

    @property
    def problems(self) -> tuple[Problem, ...]:
        return self.parts.stream.story.report().problems


def _look(
    loaded: Loaded, request: RunRequest, chosen: Selection, invocation: Invocation, within: float | None
) -> _Planned:
    loop = asyncio.new_event_loop()
    stages = None
    if request.reason is Reason.SHED:
        stages, chosen = loop.run_until_complete(look_at_stages(assemble(loaded, request, loop), chosen))
    parts = assemble(loaded, request, loop)
    parts.stream.problems(loaded.plugins.registry.stray_names())
    seen = loop.run_until_complete(look_at_plan(parts, chosen, invocation))
    verdict = None if within is None else loop.run_until_complete(look_within(parts, seen, within))
    return _Planned(parts, loaded, seen, verdict, stages)


def _time_given(deadline: float | None, within: float | None) -> float | None:
    """The deadline that is planned for; None for the configured one. Raises UsageError."""
    if within is not None and deadline is not None:
        raise UsageError("--within is a deadline itself", "leave --deadline out")
    return deadline if within is None else within


def _reason(given: str | None, *, manual: bool, by_hand: bool, within: float | None) -> Reason:
    """Whoever asks for no run in particular wants to know what happens when the host stops."""
    if within is not None:
        if manual or given == Reason.MANUAL:
            raise UsageError("--within is for a host that stops: by hand nobody is forced", "leave --manual out")
        if given == Reason.SHED:
            raise UsageError("--within is for a host that stops: who is shed is not forced", "leave --reason shed out")
        return Reason(given or Reason.POWER)
    if manual and given not in {None, Reason.MANUAL}:
        raise UsageError(f"--manual and --reason {given} are two different runs", "leave one of them out")
    if given:
        return Reason(given)
    return Reason.MANUAL if manual or by_hand else Reason.POWEROFF


def _stages(stages: Sequence[PlannedStage] | None, screen: Screen) -> Iterator[str]:
    if stages is not None:
        yield from paragraph("on battery, these are shed:" if stages else "nobody that runs is ever shed", screen)
        for line in stage_lines(stages):
            yield from paragraph(line, screen, 2)


def _text(planned: _Planned, screen: Screen, *, forced: bool, whence: bool) -> str:
    parts, loaded, seen = planned.parts, planned.loaded, planned.seen
    source = ", ".join(map(str, loaded.document.files)) or "built-in defaults"
    lines = paragraph(f"shutdown ({parts.context.terms.reason.value}), configured by {source}", screen)
    shed, called = planned.stages is not None, seen.plan.called
    lines += timetable.as_lines(seen.lines, called, seen.outlook, screen, forced=forced, whence=whence, shed=shed)
    for hook, calls in planned_calls(parts, loaded, seen).items():
        named = [f"{plugin} ({why})" if why else plugin for plugin, why in calls.items()]
        lines += paragraph(f"hook {hook}: {', '.join(named)}", screen, 2)
        times = seen.outlook.hooks.run if whence and hook == "pre_shutdown" else ()
        lines += [line for call in times for line in paragraph(timetable.call_words(call), screen, 4)]
    if planned.verdict:
        lines += within_lines(planned.verdict, seen.outlook, called, screen)
    return "\n".join([*lines, *all_problem_lines(planned.problems, seen.plan.names.values(), screen)])
