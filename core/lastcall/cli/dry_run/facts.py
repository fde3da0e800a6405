"""A plan as JSON: what `lastcall plan --json` prints."""

import dataclasses
from collections.abc import Mapping

from lastcall.api.guests import Key
from lastcall.cli.documents.plan import (
    CallTime,
    Chain,
    ForcedGuest,
    GuestPlan,
    Milestones,
    PastTime,
    PlanDocument,
    PlannedCall,
    PlannedChange,
    PlannedRun,
    RemedyFacts,
    RungFacts,
    WithinFacts,
)
from lastcall.cli.dry_run.look import PlanSeen
from lastcall.errors import Problem
from lastcall.formats.json_text import to_json
from lastcall.planning.forecast import Forecast
from lastcall.planning.history import Usual
from lastcall.planning.hook_times import ExpectedCall
from lastcall.planning.power.stage_table import PlannedStage
from lastcall.planning.within.remedies import Remedy
from lastcall.planning.within.verdict import TimeVerdict
from lastcall.planning.worst_case import Outlook
from lastcall.report.timetable import Line
from lastcall.runs.assembly.parts import Parts
from lastcall.runs.loading import Loaded


def plan_json(
    parts: Parts,
    loaded: Loaded,
    seen: PlanSeen,
    problems: tuple[Problem, ...],
    within: TimeVerdict | None = None,
    stages: tuple[PlannedStage, ...] | None = None,
) -> str:
    """The plan as JSON, with what the time means that was asked about, and with the stages of an outage."""
    outlook, figures, names = seen.outlook, seen.outlook.in_short, seen.plan.names
    guests = tuple(_guest_facts(outlook, line, names) for line in seen.lines)
    deadline = {name: None if at == float("inf") else at for name, at in dataclasses.asdict(outlook.deadline).items()}
    run = PlannedRun(
        reason=parts.context.terms.reason,
        deadline=figures.deadline,
        milestones=Milestones(**deadline),
        fits=figures.fits,
        usual=_chain(round(outlook.usual_end, 2), outlook.usual.path, seen),
        worst=_chain(figures.worst, outlook.longest[1], seen),
        calls=tuple(map(_call_time, outlook.hooks.run)),
    )
    hooks = {
        hook: tuple(PlannedCall(plugin, why or None) for plugin, why in calls.items())
        for hook, calls in planned_calls(parts, loaded, seen).items()
    }
    asked = within and _within(within, seen)
    document = PlanDocument(run=run, guests=guests, hooks=hooks, within=asked, stages=stages, problems=problems)
    return to_json(document, indent=1)


def planned_calls(parts: Parts, loaded: Loaded, seen: PlanSeen) -> dict[str, dict[str, str]]:
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


def _chain(seconds: float, path: tuple[Key, ...], seen: PlanSeen) -> Chain:
    names = {line.planned.guest.key: line.planned.guest.name for line in seen.lines}
    return Chain(seconds, tuple(names[key] for key in path))


def _span(forecast: Forecast, key: Key) -> float:
    return forecast.ends.get(key, 0.0) - forecast.starts.get(key, 0.0)


def _guest_facts(outlook: Outlook, line: Line, names: Mapping[Key, str]) -> GuestPlan:
    planned, key = line.planned, line.planned.guest.key
    return GuestPlan(
        **dataclasses.asdict(planned.guest),
        waits_for=line.waits_for(names),
        asked_usually=None if key in outlook.unknown else round(outlook.usually(key), 2),
        asked_latest=round(outlook.latest(key), 2),
        takes_usually=None if key in outlook.unknown else round(_span(outlook.usual, key), 2),
        takes_at_worst=None if key in outlook.endless else round(_span(outlook.worst, key), 2),
        past=_past_time(outlook.own.get(key)),
        calls=tuple(map(_call_time, outlook.hooks.guests.get(key, ()))),
        stop=tuple(RungFacts(step.method, step.timeout, line.unfit.get(step.method)) for step in planned.steps),
        last_resort=tuple(step.method for step in planned.last_resort),
        restore=planned.restore,
        left_because=planned.left_because or None,
        watched=planned.watched,
        facts=line.facts,
    )


def _within(verdict: TimeVerdict, seen: PlanSeen) -> WithinFacts:
    guests = {line.planned.guest.key: line.planned.guest for line in seen.lines}
    search = verdict.search

    def named(forced: Mapping[Key, float]) -> tuple[ForcedGuest, ...]:
        return tuple(
            ForcedGuest(uri=one.uri, uuid=one.uuid, name=one.name, off=round(forced[key], 2))
            for key, one in guests.items()
            if key in forced
        )

    return WithinFacts(
        seconds=verdict.seconds,
        forced_usually=named(verdict.forced.usually),
        forced_at_worst=named(verdict.forced.at_worst),
        unknown=tuple(one.name for key, one in guests.items() if key in seen.outlook.unknown),
        looked_at=None if search is None else "worst" if verdict.for_worst else "usual",
        remedies=tuple(map(_remedy, search.remedies if search else ())),
        all_tried=search is None or search.whole,
        enough_usually=verdict.least_usually,
        enough_at_worst=verdict.least_at_worst,
    )


def _remedy(remedy: Remedy) -> RemedyFacts:
    return RemedyFacts(
        changes=tuple(PlannedChange(setting=one.setting, before=one.before, after=one.after, why=one.why)
                      for one in remedy.changes),
        over_usually=round(remedy.played.outlook.usual_end, 2),
        forced_at_worst=len(remedy.forced.at_worst),
    )  # fmt: skip


def _past_time(usual: Usual | None) -> PastTime | None:
    return usual and PastTime(round(usual.seconds, 2), round(usual.longest, 2), usual.runs)


def _call_time(call: ExpectedCall) -> CallTime:
    return CallTime(
        hook=call.hook, plugin=call.plugin, limit=call.limit, set_by=call.set_by, past=_past_time(call.usual)
    )
