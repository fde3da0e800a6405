"""The mains are back while a run for want of them is under way: it turns round, or goes on with more time."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import lastcall
from lastcall import Guest, GuestState, Outcome, Reason, Report
from lastcall.persistence.state import StateFile
from lastcall.records.records import GuestAsked, PowerChanged, Record
from lastcall.report.text import as_text
from lastcall.runs.shutdown import Shutdown
from lastcall.testing.memory import FakeGuest, FakeHypervisor, Hangs, run_shutdown
from lastcall.timing.deadline import Deadline
from support import by_name

Meanwhile = Callable[[FakeHypervisor, Shutdown], None]
DEAF = frozenset({"acpi", "agent", "shutdown"})
CONFIG = """
shutdown: {deadline: 300s, by_reason: {power: {deadline: 60s, reserve: 15s, grace: 5s}}}
defaults: {stop: [{acpi: {timeout: 20s}}], timeout: 30s}
"""


def ordinary(limit: float = 300.0) -> Deadline:
    return Deadline.after(0, limit, reserve=30, grace=30)


def back_at(at: float, stops: Reason | None = None, then: Meanwhile | None = None) -> Meanwhile:
    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(at, run.power_returns, ordinary(), stops)
        if then:
            then(hypervisor, run)

    return meanwhile


def turned_run(
    tmp_path: Path, guests: Sequence[FakeGuest], meanwhile: Meanwhile, *, reason: Reason = Reason.POWER, **more: Any
) -> Report:
    given: dict[str, Any] = {"config": CONFIG, "reason": reason, "meanwhile": meanwhile, **more}
    return run_shutdown(tmp_path, guests, **given)


def listed(folder: Path) -> dict[str, tuple[str, bool]]:
    """Cause and whether it is due, by name."""
    state = StateFile(folder)
    state.load()
    return {entry.name: (entry.cause, entry.due) for entry in state.entries.values()}


CHAIN = "guests: [{match: db, depends_on: [nas]}, {match: web, depends_on: [db]}]\n"


@pytest.mark.parametrize("reason", [Reason.POWER, Reason.SHED])
def test_a_run_that_turns_round_asks_nobody_else_waits_for_who_was_asked_and_lists_what_it_stopped(
    tmp_path: Path, reason: Reason
) -> None:
    web, db, nas = FakeGuest("web", takes=2), FakeGuest("db", takes=10), FakeGuest("nas")
    report = turned_run(tmp_path, [web, db, nas], back_at(4), reason=reason, config=CONFIG + CHAIN)
    assert by_name(report, "web").outcome is by_name(report, "db").outcome is Outcome.STOPPED
    assert (nas.asked, nas.state) == ([], GuestState.RUNNING)
    left = by_name(report, "nas")
    assert (left.outcome, left.message, left.asked) == (
        Outcome.SKIPPED, "the mains were back before it was asked", None,
    )  # fmt: skip
    assert listed(tmp_path) == {"web": ("shed", True), "db": ("shed", True)}
    assert report.run.mains_back == pytest.approx(4, abs=0.1)
    assert (report.run.reason, report.run.exit_code) == (Reason.SHED, 0)


def test_who_hears_nothing_runs_on_without_another_request_and_without_the_plug(tmp_path: Path) -> None:
    config = CONFIG + "guests: [{match: deaf, stop: [{acpi: {timeout: 10s}}, {agent: {timeout: 10s}}, destroy]}]\n"
    deaf = FakeGuest("deaf", deaf_to=DEAF, agent=True)
    report = turned_run(tmp_path, [deaf], back_at(3), config=config)
    assert [how for _, how in deaf.asked] == ["acpi"]
    assert deaf.state is GuestState.RUNNING
    assert by_name(report, "deaf").outcome is Outcome.LEFT
    assert report.run.exit_code == 1
    assert listed(tmp_path) == {"deaf": ("shed", True)}, "it may go off later, and comes back then"


def test_who_was_asked_has_as_long_as_its_whole_ladder_would_have_taken(tmp_path: Path) -> None:
    config = CONFIG + "guests: [{match: slow, stop: [{acpi: {timeout: 10s}}, {agent: {timeout: 25s}}]}]\n"
    slow = FakeGuest("slow", takes=30, agent=True)
    report = turned_run(tmp_path, [slow], back_at(3), config=config)
    assert (by_name(report, "slow").outcome, by_name(report, "slow").method) == (Outcome.STOPPED, "acpi")
    assert [how for _, how in slow.asked] == ["acpi"]
    assert listed(tmp_path) == {"slow": ("shed", True)}


@pytest.mark.parametrize("takes", [29, 1000])
def test_a_rung_that_was_to_last_until_the_plug_lasts_as_long_as_the_guest_would_have_where_others_wait(
    tmp_path: Path, takes: float
) -> None:
    """Else one that hears nothing kept all that are off from coming back until the deadline."""
    guest = FakeGuest("g", takes=takes)
    report = turned_run(tmp_path, [guest], back_at(3), config=CONFIG.replace("{timeout: 20s}", "{}"))
    assert by_name(report, "g").outcome is (Outcome.STOPPED if takes < 30 else Outcome.LEFT)
    assert report.run.duration == pytest.approx(min(takes, 30), abs=1.5)


def test_before_anybody_was_asked_nobody_is_and_nobody_is_listed(tmp_path: Path) -> None:
    guests = [FakeGuest("a"), FakeGuest("b")]

    class Slow:
        @lastcall.hookimpl
        def pre_shutdown(self) -> None:
            clock[0].loop.call_later(0, clock[1].power_returns, ordinary(), None)

    clock: list[Any] = []
    report = turned_run(
        tmp_path, guests, lambda hypervisor, run: clock.extend((hypervisor, run)), plugins={"slow": Slow()}
    )
    assert [guest.asked for guest in guests] == [[], []]
    assert {result.outcome for result in report.guests} == {Outcome.SKIPPED}
    assert listed(tmp_path) == {}


def test_whose_plug_is_pulled_already_is_told_so_and_nobody_elses_is(tmp_path: Path) -> None:
    deaf = FakeGuest("deaf", deaf_to=DEAF)
    patient = FakeGuest("patient", deaf_to=DEAF)
    config = CONFIG.replace("20s", "5s") + "guests: [{match: patient, stop: [{acpi: {timeout: 40s}}]}]\n"
    report = turned_run(tmp_path, [deaf, patient], back_at(10), config=config)
    assert (by_name(report, "deaf").outcome, by_name(report, "patient").outcome) == (Outcome.FORCED, Outcome.LEFT)
    assert patient.state is GuestState.RUNNING
    assert listed(tmp_path) == {"deaf": ("shed", True), "patient": ("shed", True)}


def test_a_plug_that_is_due_in_a_moment_is_not_pulled_any_more(tmp_path: Path) -> None:
    """Once the mains are back, also where the last resort has begun."""
    deaf, told = FakeGuest("deaf", deaf_to=DEAF), list[float]()

    class Stuck:
        @lastcall.hookimpl
        def on_guest_stuck(self, guest: Guest) -> None:
            told.append(clock[0].loop.time())
            clock[1].power_returns(ordinary(), None)

    clock: list[Any] = []
    report = turned_run(
        tmp_path, [deaf], lambda hypervisor, run: clock.extend((hypervisor, run)), plugins={"stuck": Stuck()}
    )
    assert told
    assert deaf.state is GuestState.RUNNING
    assert by_name(report, "deaf").outcome is Outcome.LEFT


def test_force_is_for_a_battery_that_runs_out_and_not_for_a_run_that_turns_round(tmp_path: Path) -> None:
    deaf = FakeGuest("deaf", deaf_to=DEAF)
    turned_run(tmp_path, [deaf], back_at(10), force=True)
    assert deaf.state is GuestState.RUNNING


def test_who_was_asked_before_and_is_not_asked_once_more_is_not_said_to_be_unasked(tmp_path: Path) -> None:
    deaf, other = FakeGuest("deaf", deaf_to=DEAF), FakeGuest("other", takes=40)
    config = CONFIG + "guests: [{match: deaf, stop: [{acpi: {timeout: 5s}}]}]\n"

    class Flush:
        """Takes its time when it is called once more."""

        calls = 0

        @lastcall.hookimpl
        def on_guest_stop(self, guest: Guest) -> None:
            self.calls += guest.name == "deaf"
            if self.calls > 1:
                raise Hangs

    def joins(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(7, run.join, Reason.POWER, ordinary(100))

    report = turned_run(
        tmp_path, [deaf, other], back_at(9, then=joins), reason=Reason.MANUAL, config=config, plugins={"flush": Flush()}
    )
    result = by_name(report, "deaf")
    assert (result.outcome, result.asked, result.message) == (Outcome.LEFT, 0, "still running")


def test_a_guest_that_somebody_starts_once_the_mains_are_back_is_left_to_them(tmp_path: Path) -> None:
    slow, fresh = FakeGuest("slow", takes=15), FakeGuest("fresh", appears_at=8)
    report = turned_run(tmp_path, [slow, fresh], back_at(4))
    assert fresh.asked == []
    assert [guest.name for guest in report.guests] == ["slow"]


def goes_at(at: float, deadline: Deadline | None = None) -> Meanwhile:
    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        # Of a battery that carries nobody knows for how long; of one that is low somebody says it.
        tell = run.power_goes if deadline is None else lambda: run.announce(Reason.POWER, deadline)
        hypervisor.loop.call_later(at, tell)

    return meanwhile


@pytest.mark.parametrize("reason", [Reason.POWER, Reason.SHED])
def test_where_the_mains_go_again_it_asks_the_rest(tmp_path: Path, reason: Reason) -> None:
    web, db, nas = FakeGuest("web", takes=2), FakeGuest("db", takes=10), FakeGuest("nas")
    late = FakeGuest("late", appears_at=7)
    seen: list[Record] = []
    report = turned_run(
        tmp_path, [web, db, nas, late], back_at(4, then=goes_at(9)), reason=reason, config=CONFIG + CHAIN,
        sink=seen.append,
    )  # fmt: skip
    assert {result.outcome for result in report.guests} == {Outcome.STOPPED}
    assert {guest.name for guest in report.guests} == {"web", "db", "nas", "late"}
    assert nas.asked[0][0] > 9
    assert [(round(one.at), one.back) for one in seen if isinstance(one, PowerChanged)] == [(4, True), (9, False)]
    assert (report.run.reason, report.run.mains_back) == (reason, None)
    cause = "host" if reason is Reason.POWER else "shed"
    assert {cause_ for cause_, _ in listed(tmp_path).values()} == {cause}


def test_where_the_mains_go_again_whom_it_had_given_up_is_asked_anew_in_the_time_that_the_battery_has_then(
    tmp_path: Path,
) -> None:
    deaf, slow = FakeGuest("deaf", deaf_to=DEAF), FakeGuest("slow", takes=70)
    config = CONFIG + "guests: [{match: slow, stop: [{acpi: {timeout: 80s}}]}]\n"
    meanwhile = back_at(4, then=goes_at(30, Deadline.after(0, 120, reserve=15, grace=5)))
    report = turned_run(tmp_path, [deaf, slow], meanwhile, config=config)
    assert by_name(report, "deaf").outcome is Outcome.FORCED
    assert deaf.off_at is not None
    assert 30 + 20 <= deaf.off_at <= 120, "after its whole ladder once more"
    assert by_name(report, "slow").outcome is Outcome.STOPPED
    assert report.run.deadline == 120


def test_where_the_mains_go_again_and_nobody_says_for_how_long_it_has_its_own_time_once_more(tmp_path: Path) -> None:
    slow, first = FakeGuest("slow", takes=10), FakeGuest("first", takes=55)
    config = CONFIG.replace("20s", "100s") + "guests: [{match: slow, depends_on: [first]}]\n"
    report = turned_run(tmp_path, [slow, first], back_at(4, then=goes_at(9)), config=config)
    assert {result.outcome for result in report.guests} == {Outcome.FORCED, Outcome.STOPPED}
    assert report.run.deadline == pytest.approx(69, abs=0.1)


@pytest.mark.parametrize(("low", "asks"), [(None, False), (Deadline.after(0, 90, reserve=15, grace=5), True)])
def test_what_is_called_off_goes_on_by_a_battery_that_is_low_and_not_by_one_that_carries(
    tmp_path: Path, low: Deadline | None, *, asks: bool
) -> None:
    web, db, nas = FakeGuest("web", takes=2), FakeGuest("db", takes=10), FakeGuest("nas")

    def called_off(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(4, run.call_off, ordinary())
        goes_at(6, low)(hypervisor, run)

    turned_run(tmp_path, [web, db, nas], called_off, reason=Reason.SHED, config=CONFIG + CHAIN)
    assert bool(nas.asked) == asks
    assert set(listed(tmp_path)) == ({"web", "db", "nas"} if asks else {"web", "db"})


def test_a_host_stop_that_joins_one_that_was_called_off_asks_everybody(tmp_path: Path) -> None:
    web, nas = FakeGuest("web", takes=20), FakeGuest("nas")

    def called_off(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(4, run.call_off, ordinary())
        hypervisor.loop.call_later(8, run.join, Reason.POWER, Deadline.after(8, 60, reserve=15, grace=5))

    turned_run(tmp_path, [web, nas], called_off, reason=Reason.SHED, names=["web"])
    assert 8 <= nas.asked[0][0] < 11
    assert set(listed(tmp_path).values()) == {("host", True)}


def test_a_battery_that_carries_lengthens_no_host_stop_for_one_that_is_low(tmp_path: Path) -> None:
    deaf = FakeGuest("deaf", deaf_to=DEAF)

    def recovers(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(2, run.announce, Reason.POWER, Deadline.after(0, 40, reserve=10, grace=5))
        hypervisor.loop.call_later(5, run.power_goes)

    report = turned_run(tmp_path, [deaf], recovers, config=CONFIG.replace("{timeout: 20s}", "{}"))
    assert report.run.deadline == 40
    assert by_name(report, "deaf").outcome is Outcome.FORCED


def test_a_host_stop_that_joined_with_an_announcement_has_its_own_time_where_that_is_taken_back(tmp_path: Path) -> None:
    slow = FakeGuest("slow", takes=150)
    config = CONFIG.replace("{timeout: 20s}", "{timeout: 200s}")

    def joins(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        announced, own = Deadline.after(2, 60, reserve=15, grace=5), Deadline.after(2, 250, reserve=15, grace=5)
        hypervisor.loop.call_later(2, run.join, Reason.POWER, announced, own)
        hypervisor.loop.call_later(20, run.announce, None, None)

    report = turned_run(tmp_path, [slow], joins, reason=Reason.MANUAL, config=config)
    assert (by_name(report, "slow").outcome, report.run.deadline) == (Outcome.STOPPED, 252)


def test_a_host_stop_that_joins_after_that_asks_everybody_in_its_own_time(tmp_path: Path) -> None:
    web, db, nas = FakeGuest("web", takes=2), FakeGuest("db", takes=10), FakeGuest("nas")
    deaf = FakeGuest("deaf", deaf_to=DEAF)

    def joins(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        deadline = Deadline.after(8, 200, reserve=15, grace=5)
        hypervisor.loop.call_later(8, run.join, Reason.POWEROFF, deadline)

    report = turned_run(tmp_path, [web, db, nas, deaf], back_at(4, then=joins), config=CONFIG + CHAIN)
    assert by_name(report, "nas").outcome is Outcome.STOPPED
    assert by_name(report, "deaf").outcome is Outcome.FORCED
    assert (report.run.reason, report.run.mains_back) == (Reason.POWEROFF, None)
    assert report.run.deadline == pytest.approx(208, abs=1)
    assert set(listed(tmp_path).values()) == {("host", True)}


@pytest.mark.parametrize("stops", [True, False], ids=["a host stop joins", "the mains go again"])
def test_a_run_that_was_told_to_end_after_it_had_turned_round_forces_guests_off_all_the_same_where_it_goes_on(
    tmp_path: Path, *, stops: bool
) -> None:
    """Both words may come in the same moment, as the host stops and ends the session of whoever has typed Ctrl-C."""
    deaf = FakeGuest("deaf", deaf_to=DEAF)

    def both(run: Shutdown) -> None:
        run.interrupt()
        deadline = Deadline.after(8, 60, reserve=20, grace=10)
        assert run.join(Reason.POWEROFF, deadline) if stops else not run.announce(Reason.POWER, deadline)

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(8, both, run)

    report = turned_run(tmp_path, [deaf], back_at(3, then=meanwhile))
    assert by_name(report, "deaf").outcome is Outcome.FORCED


def test_what_a_person_has_stopped_by_name_stays_off_also_where_a_run_for_power_has_joined_and_turned_round(
    tmp_path: Path,
) -> None:
    named, other = FakeGuest("named", takes=10), FakeGuest("other", takes=5)

    def joins(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(2, run.join, Reason.POWER, Deadline.after(2, 60, reserve=15, grace=5))

    turned_run(tmp_path, [named, other], back_at(4, then=joins), reason=Reason.MANUAL, names=["named"])
    assert listed(tmp_path) == {"named": ("hand", False), "other": ("shed", True)}


def test_where_a_guest_may_be_that_a_person_has_moved_is_known_still_once_the_run_has_turned_round(
    tmp_path: Path,
) -> None:
    """A run that is killed then leaves that list."""
    ferried, seen = FakeGuest("ferried", takes=20), list[tuple[str, ...]]()

    def look(_: FakeHypervisor) -> None:
        state = StateFile(tmp_path)
        state.load()
        seen.extend(entry.where for entry in state.entries.values())

    def joins(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(2, run.join, Reason.POWER, Deadline.after(2, 60, reserve=15, grace=5))
        hypervisor.loop.call_later(8, look, hypervisor)

    config = CONFIG.replace("stop: [", "stop: [{migrate: {to: [qemu+tls://hb/system], reasons: [manual, power]}}, ")
    turned_run(tmp_path, [ferried], back_at(4, then=joins), reason=Reason.MANUAL, names=["ferried"], config=config)
    assert seen == [("qemu+tls://hb/system",)]


@pytest.mark.parametrize("reason", [Reason.MANUAL, Reason.DRILL, Reason.POWEROFF])
def test_a_run_that_is_not_for_want_of_power_goes_on(tmp_path: Path, reason: Reason) -> None:
    first, second = FakeGuest("first", takes=5), FakeGuest("second")
    config = CONFIG + "guests: [{match: first, depends_on: [second]}]\n"
    report = turned_run(tmp_path, [first, second], back_at(2), reason=reason, config=config)
    assert {result.outcome for result in report.guests} == {Outcome.STOPPED}
    assert report.run.mains_back is None


@pytest.mark.parametrize("stops", [Reason.POWEROFF, Reason.REBOOT, Reason.OTHER])
def test_where_the_host_stops_already_nobody_is_forced_for_lack_of_time_that_there_is_again(
    tmp_path: Path, stops: Reason
) -> None:
    slow, other = FakeGuest("slow", takes=120), FakeGuest("other")
    config = CONFIG.replace("{timeout: 20s}", "{timeout: 150s}") + "guests: [{match: slow, depends_on: [other]}]\n"
    report = turned_run(tmp_path, [slow, other], back_at(10, stops), config=config)
    assert {result.outcome for result in report.guests} == {Outcome.STOPPED}
    assert (report.run.reason, report.run.deadline) == (stops, 300)
    assert report.run.mains_back == pytest.approx(10, abs=0.1)
    assert set(listed(tmp_path).values()) == {("host", True)}


def test_once_the_last_resort_has_begun_of_a_host_that_stops_it_is_too_late_for_that(tmp_path: Path) -> None:
    deaf, answers = FakeGuest("deaf", deaf_to=DEAF), list[str]()

    class Stuck:
        @lastcall.hookimpl
        def on_guest_stuck(self, guest: Guest) -> None:
            answers.append(clock[0].power_returns(ordinary(), Reason.POWEROFF))

    clock: list[Any] = []
    config = CONFIG.replace("{timeout: 20s}", "{}")
    report = turned_run(tmp_path, [deaf], lambda _, run: clock.append(run), plugins={"stuck": Stuck()}, config=config)
    assert answers == ["its last resort has begun"]
    assert by_name(report, "deaf").outcome is Outcome.FORCED
    assert report.run.mains_back is not None, "whoever decides what becomes of the host wants to know it all the same"


def test_hooks_that_are_meant_for_host_stops_are_not_called_after_the_guests_where_it_has_turned_round(
    tmp_path: Path,
) -> None:
    called: list[str] = []

    class Shelf:
        @lastcall.hookimpl
        def post_shutdown(self) -> None:
            called.append("shelf")

    config = CONFIG + "hooks: {reasons: {shelf: host}}\n"
    turned_run(tmp_path, [FakeGuest("g", takes=10)], back_at(4), config=config, plugins={"shelf": Shelf()})
    assert called == []


def test_nobody_is_asked_after_it_whatever_held_up_its_request(tmp_path: Path) -> None:
    """Whom somebody's dump holds is refused, and asked again every second, until then."""
    busy = FakeGuest("busy", busy_until=20)
    again = FakeGuest("again", deaf_to=DEAF)
    seen: list[Record] = []
    config = CONFIG + "guests: [{match: again, stop: [{acpi: {timeout: 40s, resend: 2s}}]}]\n"
    report = turned_run(tmp_path, [busy, again], back_at(7), sink=seen.append, config=config)
    assert max(one.at for one in seen if isinstance(one, GuestAsked)) < 7.1
    assert (by_name(report, "busy").outcome, by_name(report, "busy").asked) == (Outcome.SKIPPED, None)
    assert sorted(listed(tmp_path)) == ["again"]


def test_the_log_of_the_run_and_its_report_tell_of_it(tmp_path: Path) -> None:
    report = turned_run(tmp_path, [FakeGuest("g", takes=10)], back_at(4))
    assert "turned round 4s after its start: the mains are back" in as_text(report)
    (log,) = (tmp_path / "runs").glob("*.jsonl")
    assert [line for line in map(json.loads, log.read_text().splitlines()) if "PowerChanged" in json.dumps(line)]
