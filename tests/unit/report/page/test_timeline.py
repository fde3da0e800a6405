"""The chart of a run: what each guest did when, why the run took as long as it did, and where its deadline stands."""

from typing import Any

import pytest

from lastcall.api.guests import GuestState, Outcome, Reason, RunKind
from lastcall.api.results import Attempt, GuestResult, HookRecord, Report, RunFacts, Verdict
from lastcall.report.page.critical_path import critical_path
from lastcall.report.page.timeline import LONGEST, MOST_TICKS, Timeline, timeline, track_words

PLUG = Attempt(method="destroy", result=Outcome.FORCED, started=7.0, duration=1.0)


def guest(name: str, started: float, duration: float, *waited_for: str, **more: Any) -> GuestResult:
    given: dict[str, Any] = {
        "uri": "qemu:///system",
        "uuid": name,
        "outcome": Outcome.STOPPED,
        "method": "acpi",
        **more,
    }
    return GuestResult(
        name=name, started=started, duration=duration, waited_for=waited_for, state_before=GuestState.RUNNING,
        persistent=True, **given,
    )  # fmt: skip


def report(*guests: GuestResult, duration: float, hooks: tuple[HookRecord, ...] = (), **more: Any) -> Report:
    given: dict[str, Any] = {"kind": RunKind.SHUTDOWN, "reason": Reason.POWER, "deadline": None, **more}
    run = RunFacts(
        id="r", started="2026-11-26T02:14:31+00:00", duration=duration, exit_code=0, boot_id="", host="host",
        config="file", versions={}, **given,
    )  # fmt: skip
    return Report(version=1, run=run, guests=guests, hooks=hooks, problems=())


def hook(name: str, started: float, duration: float, result: Verdict = Verdict.OK) -> HookRecord:
    return HookRecord(hook=name, plugin="p", result=result, started=started, duration=duration)


def kinds(chart: Timeline) -> list[tuple[str, float, float]]:
    return [(one.kind, one.start, one.end) for track in chart.tracks for one in track.segments]


def test_a_guest_waits_is_called_for_is_asked_and_loses_its_plug_each_from_when_to_when() -> None:
    deaf = Attempt(method="acpi", result=Verdict.TIMEOUT, started=3.0, duration=4.0)
    one = guest("db", 2.0, 6.0, "web", attempts=(deaf, PLUG), hooks=(hook("on_guest_stop", 2.0, 1.0),))
    chart = timeline(report(one, duration=8.0), {})
    assert kinds(chart) == [
        ("waiting", 0.0, 2.0), ("moving", 2.0, 8.0), ("hook", 2.0, 3.0), ("failed", 3.0, 7.0), ("plug", 7.0, 8.0),
    ]  # fmt: skip
    told = track_words(chart.tracks[0])
    assert told == "waited for web, 2s; on_guest_stop of p ok, 1s; acpi timeout, 4s; destroy forced, 1s"


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        (Outcome.STOPPED, "rung"),
        (Outcome.SAVED, "rung"),
        (Outcome.STARTED, "rung"),
        (Verdict.OK, "rung"),
        (Verdict.FAILED, "failed"),
        (Verdict.TIMEOUT, "failed"),
        (Outcome.LEFT, "failed"),
        (Outcome.UNKNOWN, "failed"),
        (Outcome.FORCED, "plug"),
    ],
)
def test_a_rung_shows_how_it_ended(result: Verdict | Outcome, kind: str) -> None:
    attempt = Attempt(method="m", result=result, started=0.0, duration=1.0)
    chart = timeline(report(guest("a", 0.0, 1.0, attempts=(attempt,)), duration=1.0), {})
    assert kinds(chart)[1][0] == kind


def test_a_hook_that_failed_is_no_ordinary_one_and_the_runs_own_come_first() -> None:
    bad = hook("on_guest_stop", 1.0, 1.0, Verdict.TIMEOUT)
    chart = timeline(report(guest("a", 0.0, 2.0, hooks=(bad,)), duration=3.0, hooks=(hook("pre_shutdown", 0, 1),)), {})
    assert [track.guest.name if track.guest else None for track in chart.tracks] == [None, "a"]
    assert kinds(chart) == [("hook", 0.0, 1.0), ("moving", 0.0, 2.0), ("failed", 1.0, 2.0)]


def test_guests_stand_in_the_order_of_their_turns() -> None:
    chart = timeline(report(guest("c", 4, 1), guest("b", 0, 3), guest("a", 0, 2), duration=5), {})
    assert [track.guest.name for track in chart.tracks if track.guest] == ["a", "b", "c"]


def test_places_are_parts_of_the_time_that_the_run_took_and_ticks_are_round() -> None:
    chart = timeline(report(guest("a", 0, 40), duration=42), {})
    assert chart.span == 42
    assert chart.part(21) == 50
    assert chart.ticks == (0, 10, 20, 30, 40)


@pytest.mark.parametrize("duration", [0.0, 0.003, 0.9, 7.0, 59.9, 600.0, 86_400.0, 1e7])
def test_there_are_never_more_ticks_than_can_be_read(duration: float) -> None:
    chart = timeline(report(guest("a", 0, duration), duration=duration), {})
    assert 1 <= len(chart.ticks) <= MOST_TICKS + 1
    assert chart.ticks[-1] <= chart.span


def test_a_moment_of_the_deadline_is_drawn_where_the_run_came_near_it() -> None:
    far = report(guest("a", 0, 20), duration=20, last_ask=540.0, last_resort=570.0, deadline=600.0)
    assert dict(timeline(far, {}).marks) == {}
    near = timeline(report(guest("a", 0, 500), duration=500, last_ask=540.0, last_resort=570.0, deadline=600.0), {})
    assert dict(near.marks) == {"everybody is asked": 540.0, "last resort": 570.0, "deadline": 600.0}
    assert near.span == 600


def test_a_run_by_hand_has_no_last_resort_but_an_end_of_waiting() -> None:
    one = report(guest("a", 0, 9), duration=9, reason=Reason.MANUAL, last_ask=8.0, last_resort=9.0, deadline=10.0)
    assert list(timeline(one, {}).marks) == ["everybody is asked", "end of waiting", "deadline"]


def test_who_has_been_seen_before_is_marked_where_it_is_usually_done() -> None:
    one, other = guest("a", 3, 4), guest("b", 0, 4)
    chart = timeline(report(one, other, duration=7), {one.guest.key: 2.5})
    assert {track.guest.name: track.usual for track in chart.tracks if track.guest} == {"a": 5.5, "b": None}


@pytest.mark.parametrize(("started", "duration"), [(-5.0, 3.0), (1e300, 1e308), (0.0, 1e308), (1e308, 1e308)])
def test_a_log_may_say_any_time_and_the_chart_still_has_an_end(started: float, duration: float) -> None:
    odd = Attempt(method="m", result=Verdict.OK, started=started, duration=duration)
    one = guest("a", started, duration, attempts=(odd,))
    chart = timeline(report(one, duration=duration), {one.guest.key: duration})
    assert 0 < chart.span <= LONGEST
    assert len(chart.ticks) <= MOST_TICKS + 1
    assert all(0 <= chart.part(at) <= 100 for _, start, end in kinds(chart) for at in (start, end))
    assert track_words(chart.tracks[0])


def names(*guests: GuestResult) -> list[str]:
    return [one.name for one in critical_path(guests)]


def test_the_critical_path_ends_with_the_last_guest_and_goes_back_by_whom_each_waited_for() -> None:
    web, mail = guest("web", 0, 6), guest("mail", 0, 14)
    shop, db = guest("shop", 6, 3, "web"), guest("db", 14, 5, "mail", "shop")
    assert names(db, shop, web, mail) == ["mail", "db"]
    assert names(guest("shop", 6, 9, "web"), web, mail, guest("db", 15, 5, "mail", "shop")) == ["web", "shop", "db"]


def test_where_only_so_many_move_at_once_the_one_that_made_room_is_on_the_path() -> None:
    assert names(guest("a", 0, 5), guest("b", 0, 7), guest("c", 5.02, 9)) == ["a", "c"]


def test_an_order_number_names_nobody_and_the_last_of_them_is_found_by_its_end() -> None:
    assert names(guest("a", 0, 5), guest("b", 0, 7), guest("c", 7.01, 2, "(order 1)")) == ["b", "c"]


def test_who_began_after_a_pause_was_held_up_by_nobody() -> None:
    assert names(guest("a", 0, 5), guest("late", 30, 2)) == ["late"]


def test_nobody_is_on_the_path_twice_whatever_a_log_says() -> None:
    assert sorted(names(guest("a", 0, 5, "b"), guest("b", 0, 5, "a"))) in (["a"], ["b"], ["a", "b"])
    assert names(guest("a", 5, -3, "a")) == []
    assert names() == []


def test_a_guest_that_took_no_time_holds_up_nobody() -> None:
    assert names(guest("skipped", 0, 0), guest("a", 0, 4)) == ["a"]
