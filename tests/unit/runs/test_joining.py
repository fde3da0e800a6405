"""A host stop that joins a run by hand: everybody is seen off by its rules, whatever the run was asked for."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lastcall
from lastcall import Ended, Guest, GuestState, Outcome, Reason
from lastcall.hypervisor.ports import ConnectionGivenUp
from lastcall.runs.shutdown import Shutdown
from lastcall.testing.memory import FakeGuest, FakeHypervisor, Hangs, run_shutdown
from lastcall.timing.budget import ROUND
from lastcall.timing.deadline import Deadline
from support import by_name, hang_over_write, waiting_guests

DEAF = frozenset({"acpi"})
Meanwhile = Callable[[FakeHypervisor, Shutdown], None]


def test_a_host_stop_that_joins_sees_off_whom_the_run_by_hand_had_left(tmp_path: Path) -> None:
    deaf, skipped, theirs = FakeGuest("deaf", deaf_to=DEAF), FakeGuest("db"), FakeGuest("theirs")
    slow, unseen = FakeGuest("slow", takes=30), FakeGuest("unseen", hangs_in=frozenset({"look"}))

    class Skips:
        @lastcall.hookimpl
        def on_guest_stop(self, guest: Guest) -> None:
            if guest.name == "db":
                raise lastcall.HookFailed("the flush failed")

    config = """
defaults: {stop: [{acpi: {timeout: 40s}}]}
hooks: {plugins: {skips: {on_failure: skip_guest}}}
guests: [{match: theirs, manage: false}, {match: deaf, stop: [{acpi: {timeout: 5s}}]}]
"""

    def joins(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(20, run.join, Reason.POWER, Deadline.after(20, 80, reserve=20, grace=10))

    everybody = [deaf, skipped, theirs, slow, unseen]
    report = run_shutdown(tmp_path, everybody, config=config, plugins={"skips": Skips()}, meanwhile=joins)
    assert by_name(report, "deaf").outcome is Outcome.FORCED
    assert by_name(report, "db").outcome is by_name(report, "unseen").outcome is Outcome.STOPPED
    assert (theirs.asked, by_name(report, "theirs").outcome) == ([], Outcome.SKIPPED)
    assert sorted(waiting_guests(tmp_path)) == ["db", "deaf", "slow", "unseen"]
    said = [problem.where for problem in report.problems if problem.message.endswith("stopped, too")]
    assert sorted(said) == ["db", "deaf", "unseen"]


@pytest.mark.parametrize("joins_at", [0.5, 10], ids=["in its own pre_shutdown", "later"])
def test_what_is_meant_for_host_stops_is_called_once_one_joins_before_the_guests_that_it_adds(
    tmp_path: Path, joins_at: float
) -> None:
    moments: dict[str, list[float]] = {"shelf": [], "tell": []}
    begun: dict[str, float] = {}
    clock: list[FakeHypervisor] = []

    class Shelf:
        @lastcall.hookimpl
        def pre_shutdown(self) -> None:
            moments["shelf"].append(clock[0].loop.time())
            raise Hangs

    class Tell:
        @lastcall.hookimpl(trylast=True)
        def pre_shutdown(self) -> None:
            moments["tell"].append(clock[0].loop.time())
            raise Hangs

        @lastcall.hookimpl
        def on_guest_stop(self, guest: Guest) -> None:
            begun[guest.name] = clock[0].loop.time()

    def joins(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        clock.append(hypervisor)
        hypervisor.loop.call_later(joins_at, run.join, Reason.POWER, Deadline.after(0, 80, reserve=20, grace=10))

    report = run_shutdown(
        tmp_path, [FakeGuest("named", takes=30), FakeGuest("added")], names=["named"],
        config="hooks: {reasons: {shelf: host}, timeout: 2s}", plugins={"shelf": Shelf(), "tell": Tell()},
        meanwhile=joins,
    )  # fmt: skip
    assert len(moments["shelf"]) == len(moments["tell"]) == 1
    over = moments["shelf"][0] + 2
    assert joins_at <= over - 2
    assert over <= begun["added"]
    assert (over <= begun["named"]) == (joins_at < 2), "before anybody, where nobody had been touched"
    calls = [(hook.plugin, hook.result.value) for hook in report.hooks]
    assert calls == [("shelf", "skipped"), ("tell", "timeout"), ("shelf", "timeout")]


def test_a_host_stop_that_joins_tries_a_connection_on_that_was_given_up(tmp_path: Path) -> None:
    slow, lost = FakeGuest("slow", uri="fake:///other", takes=30), FakeGuest("lost", takes=12)

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(2, hypervisor.lose, lost.uri)
        hypervisor.loop.call_later(10, run.join, Reason.POWER, Deadline.after(10, 80, reserve=20, grace=10))
        hypervisor.loop.call_later(15, hypervisor.open_up, lost.uri)

    report = run_shutdown(tmp_path, [slow, lost], meanwhile=meanwhile)
    assert by_name(report, "lost").outcome is Outcome.STOPPED
    assert waiting_guests(tmp_path) == ["slow", "lost"]


def test_a_list_that_a_disk_does_not_take_when_a_host_stop_joins_is_told_of_also_where_everybody_is_off_by_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang_over_write(2, monkeypatch)

    def joins(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(1, run.join, Reason.POWER, limits(60))

    report = run_shutdown(tmp_path, [FakeGuest("g", takes=2)], meanwhile=joins)
    assert by_name(report, "g").outcome is Outcome.STOPPED
    assert [problem.what for problem in report.problems] == ["state"]


def test_who_was_refused_for_most_of_its_time_and_heard_at_last_gets_all_of_it_where_a_host_stop_has_joined(
    tmp_path: Path,
) -> None:
    """Forced off as its time by hand was over, it had a second for what it needs five for."""
    guest = FakeGuest("g", busy_until=8.5, takes=5)

    def joins(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(3, run.join, Reason.POWER, Deadline.after(3, 60, reserve=10, grace=2))

    report = run_shutdown(tmp_path, [guest], config="defaults: {stop: [agent], timeout: 10s}", meanwhile=joins)
    assert (by_name(report, "g").outcome, by_name(report, "g").method) == (Outcome.STOPPED, "shutdown")


@pytest.mark.parametrize(("takes", "outcome"), [(4, Outcome.STOPPED), (9, Outcome.FORCED)])
def test_who_is_heard_late_in_its_rung_has_time_for_it_as_long_as_there_is_some(
    tmp_path: Path, takes: float, outcome: Outcome
) -> None:
    """Refused for most of its time it met the plug at the end of it; no longer than the grace after it was asked."""
    guest = FakeGuest("g", busy_until=18.5, takes=takes)
    config = "{defaults: {stop: [{acpi: {timeout: 20s}}]}, shutdown: {deadline: 120s, reserve: 20s, grace: 6s}}"
    report = run_shutdown(tmp_path, [guest], config=config, reason=Reason.POWER)
    assert by_name(report, "g").outcome is outcome
    asked = by_name(report, "g").asked
    assert asked is not None
    assert asked > 18
    if outcome is Outcome.FORCED:
        assert guest.off_at == pytest.approx(asked + 6, abs=0.5)


def test_by_hand_who_never_hears_is_given_up_within_twice_its_time(tmp_path: Path) -> None:
    guest = FakeGuest("g", busy_until=1000)
    report = run_shutdown(tmp_path, [guest], config="defaults: {stop: [agent], timeout: 10s}")
    assert (by_name(report, "g").outcome, by_name(report, "g").asked) == (Outcome.LEFT, None)
    assert report.run.duration <= 20


def test_whose_planning_is_cut_short_by_a_host_stop_with_little_time_comes_back_with_the_host(tmp_path: Path) -> None:
    named, others = FakeGuest("named", takes=100), FakeGuest("others", hangs_in=frozenset({"look"}))
    theirs = FakeGuest("theirs", hangs_in=frozenset({"look"}))

    def joins(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(10, run.join, Reason.POWER, Deadline.after(0, 13, reserve=5, grace=1))

    config = "guests: [{match: theirs, manage: false}]"
    run_shutdown(tmp_path, [named, others, theirs], names=["named"], config=config, meanwhile=joins)
    assert waiting_guests(tmp_path) == ["named", "others"]


@pytest.mark.parametrize("joins_at", [0.5, 1.05], ids=["while guests are listed", "while the one is stopped"])
def test_a_host_stop_that_joins_a_run_for_one_as_the_connection_dies_waits_for_everybody(
    tmp_path: Path, joins_at: float
) -> None:
    named, other = FakeGuest("named", takes=0.1), FakeGuest("other", takes=1)

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        active = hypervisor.active

        async def slow(uri: str) -> list[Guest]:
            await asyncio.sleep(1)
            return await active(uri)

        hypervisor.active = slow
        hypervisor.loop.call_later(joins_at, run.join, Reason.POWER, Deadline.after(0, 90, reserve=20, grace=10))
        hypervisor.loop.call_later(1.2, lambda: hypervisor.lose(named.uri, back_after=20))

    report = run_shutdown(tmp_path, [named, other], names=["named"], meanwhile=meanwhile)
    assert {guest.name: guest.outcome for guest in report.guests} == dict.fromkeys(("named", "other"), Outcome.STOPPED)
    assert sorted(waiting_guests(tmp_path)) == ["named", "other"]


def test_a_run_for_one_by_name_does_not_look_again_and_again_for_all_who_run_on(tmp_path: Path) -> None:
    named, other = FakeGuest("named", takes=60), FakeGuest("other")
    listings = list[str]()

    def counted(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        active = hypervisor.active

        async def count(uri: str) -> list[Guest]:
            listings.append(uri)
            return await active(uri)

        hypervisor.active = count

    report = run_shutdown(tmp_path, [named, other], names=["named"], meanwhile=counted)
    assert (by_name(report, "named").outcome, other.asked) == (Outcome.STOPPED, [])
    assert len(listings) <= 60 / ROUND.seconds + 3, "one in each round, and those at the beginning and the end"


def limits(end: float) -> Deadline:
    return Deadline.after(0, end, reserve=20, grace=10)


def announcing(*words: tuple[float, float | None]) -> tuple[Meanwhile, list[str]]:
    """Announce these ends at these times; what the run answers comes into the list."""
    answers = list[str]()

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        for at, end in words:
            deadline = None if end is None else limits(end)
            hypervisor.loop.call_later(at, lambda one=deadline: answers.append(run.announce(None, one)))

    return meanwhile, answers


UPS = "shutdown: {deadline: 300s, reserve: 20s, grace: 10s}"


@pytest.mark.parametrize(
    ("words", "plug"),
    [
        ([(10, 100.0)], 80),
        ([(10, 100.0), (50, 200.0)], 180),
        ([(10, 100.0), (75, None)], 280),
        ([(10, 100.0), (50, 900.0)], 280),
        ([(10, 200.0), (50, 100.0)], 80),
    ],
    ids=["less", "more", "taken back", "more than its own", "less again"],
)
def test_the_latest_announcement_counts_up_to_the_runs_own_deadline(
    tmp_path: Path, words: list[tuple[float, float | None]], plug: float
) -> None:
    guest = FakeGuest("deaf", deaf_to=DEAF)
    meanwhile, answers = announcing(*words)
    report = run_shutdown(tmp_path, [guest], config=UPS, reason=Reason.POWER, meanwhile=meanwhile)
    assert answers == [""] * len(words)
    assert guest.off_at == plug
    assert report.run.deadline == plug + 20


class _Lingers:
    """Would take its whole time box, of five minutes, before the guests are asked."""

    def __init__(self, hook: str) -> None:
        self._hook = hook

    @lastcall.hookimpl
    def pre_shutdown(self) -> None:
        if self._hook == "pre_shutdown":
            raise Hangs

    @lastcall.hookimpl
    def guest_settings(self, guest: Guest) -> None:
        if self._hook == "guest_settings" and guest.name == "there":
            raise Hangs


@pytest.mark.parametrize("how", ["announced", "joined"])
@pytest.mark.parametrize("step", ["connect", "active", "look", "look at the lost", "guest_settings", "pre_shutdown"])
def test_no_step_before_the_guests_outlives_the_time_that_counts_now(tmp_path: Path, step: str, how: str) -> None:
    here, there = FakeGuest("here", takes=1), FakeGuest("there", takes=1, uri="fake:///slow")
    there.hangs_in = frozenset({step} & {"look"})
    config = """
shutdown: {deadline: 300s, reserve: 20s, grace: 10s}
hooks: {timeout: 5min}
connections: [{uri: "fake:///system", timeout: 5min}, {uri: "fake:///slow", timeout: 5min}]
"""
    deadline = Deadline.after(5, 4 if "look" in step else 25, reserve=1, grace=1)

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        if step == "look at the lost":
            listed = hypervisor.active

            async def lists(uri: str) -> list[Guest]:
                try:
                    return await listed(uri)
                finally:
                    if "slow" in uri:
                        hypervisor.lose(uri, back_after=200)

            setattr(hypervisor, "active", lists)  # noqa: B010
        if step in {"connect", "active"}:
            answers = getattr(hypervisor, step)

            async def lingers(first: Any, *rest: Any, **more: Any) -> Any:
                if "slow" in str(first):
                    await asyncio.sleep(200)
                return await answers(first, *rest, **more)

            setattr(hypervisor, step, lingers)
        tell = run.announce if how == "announced" else run.join
        hypervisor.loop.call_later(5, tell, Reason.POWER, deadline)

    plugins = {"lingers": _Lingers(step)}
    report = run_shutdown(
        tmp_path, [here, there], config=config, reason=Reason.POWER, plugins=plugins, meanwhile=meanwhile
    )
    assert by_name(report, "here").outcome is Outcome.STOPPED, report
    assert report.run.duration <= deadline.end


def test_a_guest_that_was_asked_early_because_of_an_announcement_has_the_time_that_came_after(tmp_path: Path) -> None:
    first, second = FakeGuest("first", takes=85), FakeGuest("second", takes=60)
    config = f"{UPS}\nguests: [{{match: second, depends_on: [first]}}, {{match: first, depends_on: []}}]"
    meanwhile, _ = announcing((1, 60.0), (38, 290.0))
    report = run_shutdown(tmp_path, [first, second], config=config, reason=Reason.POWER, meanwhile=meanwhile)
    assert [guest.outcome for guest in report.guests] == [Outcome.STOPPED] * 2


def test_a_request_under_way_goes_on_when_an_announcement_is_taken_back_that_would_have_ended_it(
    tmp_path: Path,
) -> None:
    first, saved = FakeGuest("first", takes=5), FakeGuest("saved", hangs_in=frozenset({"save"}))
    config = f"{UPS}\nguests: [{{match: saved, stop: [save]}}, {{match: first, depends_on: [saved]}}]"
    announce, _ = announcing((1, 60.0), (38, None))

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        announce(hypervisor, run)
        hypervisor.loop.call_later(100, hypervisor.stop, saved, Ended.SAVED)

    report = run_shutdown(tmp_path, [first, saved], config=config, reason=Reason.POWER, meanwhile=meanwhile)
    assert [how for _, how in saved.asked] == ["save"]
    assert (by_name(report, "saved").outcome, by_name(report, "saved").method) == (Outcome.SAVED, "save")


def test_a_connection_that_died_before_a_host_stop_joins_and_is_given_up_after_is_opened_anew(tmp_path: Path) -> None:
    here, there = FakeGuest("here", takes=60), FakeGuest("there", uri="fake:///there")

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(0.5, lambda: hypervisor.lose(there.uri, back_after=1000))
        hypervisor.loop.call_later(1, run.join, Reason.REBOOT, Deadline.after(1, 200, reserve=20, grace=10))
        hypervisor.loop.call_later(6, hypervisor.tell, ConnectionGivenUp(there.uri, "end of file"))
        hypervisor.loop.call_later(20, hypervisor.open_up, there.uri)

    config = "connections: [fake:///system, fake:///there]"
    report = run_shutdown(tmp_path, [here, there], names=["here"], config=config, meanwhile=meanwhile)
    assert by_name(report, "there").outcome is Outcome.STOPPED
    assert 20 < (there.off_at or 0) < 30


def test_an_announcement_has_the_plug_of_a_qemu_that_hangs_pulled_early_enough_to_be_confirmed(tmp_path: Path) -> None:
    guest = FakeGuest("g", hangs_in=frozenset({"acpi"}))
    announced = Deadline.after(0, 60, reserve=2, grace=5, heard=False)

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(10, lambda: run.announce(None, announced))

    config = "shutdown: {deadline: 300s, reserve: 2s, grace: 5s}"
    run_shutdown(tmp_path, [guest], config=config, reason=Reason.POWER, meanwhile=meanwhile)
    assert [how for _, how in guest.asked] == ["acpi", "destroy"]
    assert guest.off_at == announced.hung_plug < announced.last_resort


def test_once_its_last_resort_has_begun_or_it_was_told_to_end_a_run_says_that_nothing_changes(tmp_path: Path) -> None:
    guest = FakeGuest("deaf", deaf_to=DEAF | {"destroy"})
    meanwhile, answers = announcing((10, 100.0), (81, 300.0), (82, None))
    report = run_shutdown(tmp_path, [guest], config=UPS, reason=Reason.POWER, meanwhile=meanwhile)
    assert answers == ["", *["its last resort has begun"] * 2]
    assert report.run.deadline == 100
    told, answers = announcing((11, None))

    def signalled(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(10, run.interrupt)
        told(hypervisor, run)

    again = FakeGuest("again", deaf_to=DEAF)
    run_shutdown(tmp_path, [again], config=UPS, reason=Reason.POWER, meanwhile=signalled)
    assert answers == ["it was told to end"]
    assert again.off_at == 15


def test_a_host_stop_that_comes_when_the_guests_time_is_over_is_told_so(tmp_path: Path) -> None:
    joined = list[bool]()

    class Ends:
        @lastcall.hookimpl
        def post_shutdown(self) -> None:
            joined.append(runs[0].join(Reason.POWER, limits(60)))

    runs = list[Shutdown]()
    plugins = {"ends": Ends()}
    run_shutdown(tmp_path, [FakeGuest("a")], plugins=plugins, meanwhile=lambda _, run: runs.append(run))
    assert joined == [False]


def test_one_that_was_asked_by_hand_and_is_left_by_the_host_stop_stays_on_the_list(tmp_path: Path) -> None:
    left, slow = FakeGuest("left", deaf_to=DEAF), FakeGuest("slow", takes=30)

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(8, setattr, left, "state", GuestState.PAUSED)
        hypervisor.loop.call_later(10, run.join, Reason.POWER, limits(60))

    config = "defaults: {paused: leave}\nguests: [{match: left, stop: [{acpi: {timeout: 5s}}]}]"
    report = run_shutdown(tmp_path, [left, slow], config=config, meanwhile=meanwhile)
    assert by_name(report, "left").outcome is Outcome.SKIPPED
    assert sorted(waiting_guests(tmp_path)) == ["left", "slow"]


def test_a_request_that_does_not_return_is_given_up_by_the_time_that_counts_now(tmp_path: Path) -> None:
    guest = FakeGuest("hangs", hangs_in=frozenset({"acpi"}))
    meanwhile, _ = announcing((1, 14.0), (2, 290.0))
    run_shutdown(tmp_path, [guest], config=UPS, reason=Reason.POWER, meanwhile=meanwhile)
    assert guest.off_at is not None
    assert guest.off_at > 200
