"""`plan --within`: who would be forced in a given time, what would avoid it, and the least time that would do."""

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from lastcall.api.guests import GuestState, Outcome, Reason, RunKind
from lastcall.api.results import GuestResult, HookRecord, Verdict
from lastcall.cli.dry_run.look import PlanSeen, look_at_plan
from lastcall.cli.dry_run.within import look_within
from lastcall.cli.invocation import Invocation
from lastcall.planning.history import History
from lastcall.planning.selection import EVERYBODY
from lastcall.planning.within.verdict import TimeVerdict
from lastcall.report.time_verdict import within_lines
from lastcall.runs.assembly.outside import Outside
from lastcall.runs.assembly.parts import Parts, assemble
from lastcall.runs.request import RunRequest
from lastcall.testing.memory.clock import VirtualLoop
from lastcall.testing.memory.guest import FakeGuest
from lastcall.testing.memory.hypervisor import FakeHypervisor
from lastcall.testing.memory.runs import load_in_memory, own_places
from lastcall.testing.memory.workers import InlineWorkers

ORDERING = Path(__file__).parents[3] / "docs/ordering.md"
KINDS = ("web", "app", "db", "queue", "cache")
Times = Mapping[str, float | Sequence[float]]


def judged(
    folder: Path,
    within: float,
    took: Times,
    config: str = "",
    *,
    saved: Times | None = None,
    plugins: Mapping[str, object] | None = None,
    unseen: Sequence[str] = (),
) -> tuple[TimeVerdict, PlanSeen]:
    """What the time means for guests that took so many seconds in earlier runs, each once or several times."""
    folder.mkdir(exist_ok=True)
    guests = [FakeGuest(name) for name in (*took, *unseen)]
    history = History(folder)
    for method, times in (("acpi", took), ("save", saved or {})):
        for guest in (one for one in guests if one.name in times):
            for seconds in _several(times[guest.name]):
                history.learn([_result(guest, method, seconds)])
    history.write(history.render())
    return _look(folder, guests, config, within, plugins)


def _several(told: float | Sequence[float]) -> Sequence[float]:
    return [told] if isinstance(told, int | float) else told


def _result(guest: FakeGuest, method: str, seconds: float) -> GuestResult:
    call = HookRecord(hook="on_guest_stop", plugin="quick", result=Verdict.OK, started=0.0, duration=1.0)
    return GuestResult(
        name=guest.name, uuid=guest.uuid, uri=guest.uri, outcome=Outcome.STOPPED, method=method, started=0.0,
        duration=seconds + 1.0, state_before=GuestState.RUNNING, persistent=True, hooks=(call,),
    )  # fmt: skip


def _look(
    folder: Path, guests: Sequence[FakeGuest], config: str, within: float, plugins: Mapping[str, object] | None
) -> tuple[TimeVerdict, PlanSeen]:
    texts = {Path("<memory>"): own_places(folder, dict.fromkeys(guest.uri for guest in guests))}
    loaded = load_in_memory({**texts, Path("<text>"): config} if config else texts, plugins).for_reason(Reason.POWER)

    async def look(parts: Parts) -> tuple[TimeVerdict, PlanSeen]:
        seen = await look_at_plan(parts, EVERYBODY, Invocation())
        return await look_within(parts, seen, within), seen

    with closing(VirtualLoop()) as loop:
        outside = Outside(
            InlineWorkers(),
            FakeHypervisor(guests, loop),
            lambda log, _ends: log.take,
            wait=lambda _event, _seconds: None,
        )
        request = RunRequest(kind=RunKind.SHUTDOWN, reason=Reason.POWER, deadline=within, rehearsal=True, started=0.0)
        return loop.run_until_complete(look(assemble(loaded, request, loop, outside)))


def names(seen: PlanSeen, forced: Mapping[tuple[str, str], float]) -> list[str]:
    return [one.guest.name for one in seen.plan.guests if one.guest.key in forced]


def told(verdict: TimeVerdict, seen: PlanSeen) -> str:
    return "\n".join(within_lines(verdict, seen.outlook, {one.guest.key: one.guest.name for one in seen.plan.guests}))


def settings_of(verdict: TimeVerdict) -> list[list[str]]:
    remedies = verdict.search.remedies if verdict.search else ()
    return [[f"{change.setting} {change.before} → {change.after}" for change in one.changes] for one in remedies]


PATIENT = "defaults: {timeout: 5min}"
CHAIN = "{defaults: {timeout: 5min}, guests: [{match: web, depends_on: app}, {match: app, depends_on: db}]}"


def test_nobody_is_forced_where_the_time_is_enough_and_nothing_is_looked_for(tmp_path: Path) -> None:
    verdict, seen = judged(tmp_path, 3600, {"web": 10, "app": 10, "db": 10}, CHAIN)
    assert (verdict.forced.usually, verdict.forced.at_worst, verdict.search) == ({}, {}, None)
    assert "nobody would be forced off" in told(verdict, seen)


def test_who_is_asked_late_has_until_the_last_resort_and_not_longer(tmp_path: Path) -> None:
    """240 s: the last resort begins at 210, everybody is asked at 180 at the latest."""
    for takes, forced in ((29, []), (31, ["db"])):
        verdict, seen = judged(tmp_path / str(takes), 240, {"web": 100, "app": 100, "db": takes}, CHAIN)
        assert names(seen, verdict.forced.usually) == forced


def test_a_limit_of_guests_at_once_is_raised_no_further_than_needed(tmp_path: Path) -> None:
    took = {f"web-{number}": 60.0 for number in range(8)}
    verdict, seen = judged(tmp_path, 240, took, "shutdown: {parallel: 2}")
    assert len(verdict.forced.usually) == 2
    assert settings_of(verdict) == [["shutdown.parallel 2 → 4"]]
    assert told(verdict, seen) in ORDERING.read_text(), "as the page shows it"
    again, _ = judged(tmp_path, 240, took, "shutdown: {parallel: 4}")
    assert not again.forced.usually, "what is suggested helps when it is done"


def test_the_setting_is_named_where_it_stands(tmp_path: Path) -> None:
    took = {f"web-{number}": 60.0 for number in range(8)}
    verdict, _ = judged(tmp_path, 240, took, "shutdown: {by_reason: {power: {parallel: 2}}}")
    assert settings_of(verdict) == [["shutdown.by_reason.power.parallel 2 → 4"]]
    uri = FakeGuest("x").uri
    verdict, _ = judged(tmp_path, 240, took, f"connections: [{{uri: '{uri}', parallel: 2}}]")
    assert settings_of(verdict) == [[f"connection {uri}: parallel 2 → 4"]]


def test_an_order_that_makes_guests_wait_for_nothing_they_need_is_let_go(tmp_path: Path) -> None:
    took = {"slow": 100.0, "web-1": 90.0, "web-2": 90.0}
    config = "{defaults: {timeout: 5min}, guests: [{match: 'web-*', order: 1}, {match: slow, order: 2}]}"
    verdict, _ = judged(tmp_path, 180, took, config)
    assert ["guests web-*: order 1 → 2"] in settings_of(verdict)
    assert not judged(tmp_path, 180, took, config.replace("order: 1", "order: 2"))[0].forced.usually


def test_a_guest_is_saved_instead_only_where_it_was_saved_before_in_less_time(tmp_path: Path) -> None:
    took = {"big": [300.0, 300.0]}
    nothing, _ = judged(tmp_path / "a", 240, took)
    assert settings_of(nothing) == []
    slow, _ = judged(tmp_path / "b", 240, took, saved={"big": 290})
    assert settings_of(slow) == []
    verdict, seen = judged(tmp_path / "c", 240, took, saved={"big": 20})
    assert settings_of(verdict) == [["guest big: stop acpi → save"]]
    assert "a save usually takes 20s (from 1 run)" in told(verdict, seen)


def test_two_changes_are_tried_where_one_is_not_enough(tmp_path: Path) -> None:
    took = {"slow": 100.0, **{f"web-{number}": 60.0 for number in range(4)}}
    rules = "[{match: 'web-*', order: 1}, {match: slow, order: 2}]"
    config = f"{{shutdown: {{parallel: 1}}, defaults: {{timeout: 5min}}, guests: {rules}}}"
    verdict, _ = judged(tmp_path, 150, took, config)
    assert settings_of(verdict)
    assert all(len(changes) == 2 for changes in settings_of(verdict))
    assert ["shutdown.parallel 1 → 0, which is no limit", "guests web-*: order 1 → 2"] in (settings_of(verdict))


def test_times_that_are_longer_than_ever_needed_are_cut_where_one_that_hangs_would_cost_the_others(
    tmp_path: Path,
) -> None:
    took = {"web": 10.0, "app": 35.0, "db": [70.0, 80.0, 75.0]}
    config = "{defaults: {timeout: 40s}, guests: [{match: db, timeout: 10min, depends_on: app}, {match: web}]}"
    verdict, seen = judged(tmp_path, 240, took, config)
    assert verdict.forced.usually == {}
    assert names(seen, verdict.forced.at_worst) == ["app", "db"]
    assert ["guest db: timeout 10min → 100s"] in settings_of(verdict)
    assert "it usually needs 75s, 80s at most (from 3 runs)" in told(verdict, seen)
    again, _ = judged(tmp_path, 240, took, config.replace("10min", "100s"))
    assert again.forced.at_worst == {}


def test_a_time_that_stands_in_the_ladder_is_changed_there(tmp_path: Path) -> None:
    config = "guests: [{match: db, stop: [{acpi: {timeout: 10min}}], depends_on: app}]"
    verdict, _ = judged(tmp_path, 300, {"app": 5.0, "db": 80.0}, config)
    assert ["guest db: timeout of acpi 10min → 100s"] in settings_of(verdict)


def test_a_ladder_that_is_too_short_forces_whatever_the_time_and_is_made_longer(tmp_path: Path) -> None:
    config = "{guests: [{match: db, timeout: 20s, depends_on: app}]}"
    verdict, seen = judged(tmp_path, 600, {"app": 5.0, "db": 80.0}, config)
    assert names(seen, verdict.forced.usually) == ["db"]
    assert verdict.least_usually is None
    assert ["guest db: timeout 20s → 100s"] in settings_of(verdict)
    assert "time that would do: none by the times of earlier runs" in told(verdict, seen)


def test_where_nothing_helps_it_is_said_and_the_least_time_is_the_least(tmp_path: Path) -> None:
    took = {"web": 100.0, "app": 100.0, "db": 100.0}
    verdict, seen = judged(tmp_path, 240, took, CHAIN)
    assert "no change of one or two settings would avoid it by the times of earlier runs" in told(verdict, seen)
    least = verdict.least_usually
    assert least
    assert not judged(tmp_path, least, took, CHAIN)[0].forced.usually
    assert judged(tmp_path, least - 1, took, CHAIN)[0].forced.usually
    worst = verdict.least_at_worst
    assert worst
    assert not judged(tmp_path, worst, took, CHAIN)[0].forced.at_worst
    assert judged(tmp_path, worst - 1, took, CHAIN)[0].forced.at_worst


@pytest.mark.parametrize(("ladder", "noted"), [("[acpi]", True), ("[{acpi: {timeout: 20s}}]", False)])
def test_a_last_rung_that_lasts_to_the_end_is_said_to_count_as_long_as_it_was_seen(
    tmp_path: Path, ladder: str, *, noted: bool
) -> None:
    verdict, seen = judged(tmp_path, 240, {"web": 10.0}, f"{{defaults: {{stop: {ladder}}}}}")
    assert names(seen, verdict.forced.at_worst) == []
    note = "a last rung, which lasts to the end, counts with the longest time that a run has seen"
    assert (note in told(verdict, seen)) is noted


def test_of_guests_that_no_run_has_seen_nothing_is_said(tmp_path: Path) -> None:
    verdict, seen = judged(tmp_path, 60, {"web": 10.0}, unseen=("new-1", "new-2"))
    assert verdict.forced.usually == {}
    assert "of new-1, new-2 nothing is known: no run has seen them" in told(verdict, seen)
    nobody = told(*judged(tmp_path / "new", 60, {}, unseen=("new-1", "new-2")))
    assert "of new-1, new-2 nothing is known" in nobody
    assert "earlier runs" not in nobody, "which have seen none of them"


def test_what_is_tried_is_what_was_planned(tmp_path: Path) -> None:
    """The scenario that nothing is changed in turns out as the plan that is shown."""
    took = {**{f"web-{number}": 10.0 + number for number in range(9)}, "db": 25.0}
    config = "{shutdown: {parallel: 3}, guests: [{match: 'web-*', depends_on: db, stop: [agent, acpi]}]}"
    verdict, seen = judged(tmp_path, 80, took, config)
    remedies = verdict.search.remedies if verdict.search else ()
    assert remedies
    assert seen.outlook.usual.total > remedies[0].played.outlook.usual.total
    assert min(verdict.forced.usually.values()) <= seen.outlook.usual_end


@pytest.mark.parametrize(("count", "seconds"), [(60, 3.0), (1000, 10.0)])
@pytest.mark.parametrize("helps", [True, False])
def test_the_search_ends_however_many_guests_there_are_and_says_the_same_each_time(
    tmp_path: Path, count: int, seconds: float, *, helps: bool
) -> None:
    rules = ", ".join(f"{{match: '{kind}-*', order: {number}}}" for number, kind in enumerate(KINDS))
    config = f"{{shutdown: {{parallel: 3}}, defaults: {{timeout: 9min}}, guests: [{rules}]}}"
    each = 20.0 if helps else 200.0
    took = {f"{kind}-{number}": each + number % 7 for number in range(count // len(KINDS)) for kind in KINDS}
    verdict, seen = judged(tmp_path, 240, took, config)
    began = time.process_time()
    again, _ = _look(tmp_path, [FakeGuest(name) for name in took], config, 240, None)
    assert time.process_time() - began < seconds
    assert told(verdict, seen) == told(again, seen)
    assert verdict.search
    assert bool(verdict.search.remedies) is (helps and count == 60)
