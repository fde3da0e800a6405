"""Guests in special states: paused, asleep, crashed, migrating, being saved, rebooting, restarted, lost and found."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import lastcall
from lastcall import Attempt, Ended, Guest, GuestState, Outcome, Reason, Run
from lastcall.guests.requests import stop_request
from lastcall.hypervisor.ports import Condition, GuestFacts, GuestRebooted, OtherJob
from lastcall.planning.history import History
from lastcall.runs.shutdown import Shutdown
from lastcall.testing.memory import FakeGuest, FakeHypervisor, run_restore, run_shutdown
from lastcall.timing.deadline import Deadline
from support import by_name, list_of_a_killed_run, waiting_guests

DEAF = frozenset({"acpi"})
URI = "fake:///system"
Meanwhile = Callable[[FakeHypervisor, Shutdown], None]


def at(seconds: float, action: Callable[[FakeHypervisor], object]) -> Meanwhile:
    def meanwhile(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        hypervisor.loop.call_later(seconds, action, hypervisor)

    return meanwhile


def hows(guest: FakeGuest) -> list[str]:
    return [how for _, how in guest.asked]


def test_a_paused_guest_is_saved_with_its_pause(tmp_path: Path) -> None:
    guest = FakeGuest("p", state=GuestState.PAUSED)
    report = run_shutdown(tmp_path, [guest])
    assert hows(guest) == ["save"]
    assert by_name(report, "p").outcome is Outcome.SAVED
    report = run_restore(tmp_path, [guest])
    assert by_name(report, "p").outcome is Outcome.RESUMED


def test_a_paused_guest_that_cannot_be_saved_is_resumed_and_asked(tmp_path: Path) -> None:
    refuses = FakeGuest("refuses", state=GuestState.PAUSED, refuses=frozenset({"save"}))
    device = FakeGuest("device", state=GuestState.PAUSED, traits=GuestFacts(unsaveable="it has a PCI host device"))
    fleeting = FakeGuest("fleeting", state=GuestState.PAUSED, persistent=False)
    report = run_shutdown(tmp_path, [refuses, device, fleeting])
    assert hows(refuses) == ["save", "resume", "acpi"]
    assert hows(device) == ["resume", "acpi"]
    assert hows(fleeting) == ["resume", "acpi"]
    assert {guest.outcome for guest in report.guests} == {Outcome.STOPPED}
    assert [attempt.result for attempt in by_name(report, "device").attempts] == ["ok", "skipped", "stopped"]


@pytest.mark.parametrize(("setting", "asked"), [("resume", ["resume", "acpi"]), ("leave", [])])
def test_what_becomes_of_a_paused_guest_is_a_setting(tmp_path: Path, setting: str, asked: list[str]) -> None:
    guest = FakeGuest("p", state=GuestState.PAUSED)
    run_shutdown(tmp_path, [guest], config=f"defaults: {{paused: {setting}}}", reason=Reason.POWER)
    assert hows(guest) == asked


def test_a_guest_paused_by_an_io_error_is_saved_as_its_memory_is_whole_and_that_is_not_as_planned(
    tmp_path: Path,
) -> None:
    guest = FakeGuest("full", state=GuestState.PAUSED, traits=GuestFacts(condition=Condition.IO_ERROR))
    report = run_shutdown(tmp_path, [guest], reason=Reason.POWER)
    assert hows(guest) == ["save"]
    assert (by_name(report, "full").outcome, report.run.exit_code) == (Outcome.SAVED, 1)
    assert waiting_guests(tmp_path) == ["full"]


def test_a_guest_paused_by_an_io_error_that_cannot_be_saved_meets_the_last_resort_of_a_host_stop(
    tmp_path: Path,
) -> None:
    def full() -> FakeGuest:
        stuck = GuestFacts(condition=Condition.IO_ERROR, unsaveable="it has a device of the host")
        return FakeGuest("full", state=GuestState.PAUSED, traits=stuck)

    stopped = full()
    report = run_shutdown(tmp_path, [stopped], reason=Reason.POWER)
    assert stopped.asked == [(0, "destroy")]
    assert by_name(report, "full").message == "was never asked"
    voluntary = full()
    report = run_shutdown(tmp_path, [voluntary])
    assert (voluntary.asked, by_name(report, "full").outcome) == ([], Outcome.LEFT)


def test_a_guest_that_is_migrating_here_is_never_asked_resumed_or_forced(tmp_path: Path) -> None:
    guest = FakeGuest("incoming", state=GuestState.PAUSED, traits=GuestFacts(condition=Condition.ARRIVING))
    report = run_shutdown(tmp_path, [guest], reason=Reason.POWER)
    assert guest.asked == []
    assert by_name(report, "incoming").outcome is Outcome.LEFT
    assert waiting_guests(tmp_path) == []


def test_a_guest_that_migrates_away_in_time_is_no_longer_ours(tmp_path: Path) -> None:
    guest = FakeGuest("away", traits=GuestFacts(job=OtherJob.MIGRATION))
    config = "shutdown: {deadline: 100s, reserve: 20s, grace: 20s}"
    gone = at(30, lambda hypervisor: hypervisor.stop(guest, lastcall.Ended.MIGRATED))
    report = run_shutdown(tmp_path, [guest], config=config, reason=Reason.POWER, meanwhile=gone)
    assert guest.asked == []
    assert by_name(report, "away").outcome is Outcome.SKIPPED
    assert waiting_guests(tmp_path) == [], "it must not run on two hosts"


@pytest.mark.parametrize(
    ("now", "outcome"),
    [
        (Ended.SHUTDOWN, Outcome.STOPPED),
        (Ended.DESTROYED, Outcome.FORCED),
        (Ended.SAVED, Outcome.SAVED),
        (Ended.CRASHED, Outcome.FAILED),
    ],
)
def test_a_guest_that_migrated_away_came_back_and_ended_here_unheard_is_told_of_by_that_and_listed(
    tmp_path: Path, now: Ended, outcome: Outcome
) -> None:
    """Its start and its end went unheard; only libvirt's word about how it is off now says that it is nowhere else."""
    guest, beside = FakeGuest("away", traits=GuestFacts(job=OtherJob.MIGRATION)), FakeGuest("beside", takes=50)

    def end_unheard(_: FakeHypervisor) -> None:
        guest.ended = now

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        at(10, lambda it: it.stop(guest, Ended.MIGRATED))(hypervisor, run)
        at(30, end_unheard)(hypervisor, run)

    report = run_shutdown(tmp_path, [guest, beside], reason=Reason.POWER, meanwhile=meanwhile)
    assert (by_name(report, "away").outcome, by_name(report, "away").ended) == (outcome, now)
    assert "away" in waiting_guests(tmp_path)


def test_a_migration_that_takes_too_long_is_ended_and_the_guest_asked(tmp_path: Path) -> None:
    guest = FakeGuest("away", traits=GuestFacts(job=OtherJob.MIGRATION))
    config = "shutdown: {deadline: 100s, reserve: 20s, grace: 20s}"
    run_shutdown(tmp_path, [guest], config=config, reason=Reason.POWER)
    assert guest.asked == [(60, "abort"), (60, "acpi")]


def test_somebody_elses_save_is_waited_for(tmp_path: Path) -> None:
    guest = FakeGuest("saving", traits=GuestFacts(job=OtherJob.SAVE))
    saved = at(25, lambda hypervisor: hypervisor.stop(guest, lastcall.Ended.SAVED))
    report = run_shutdown(tmp_path, [guest], meanwhile=saved, reason=Reason.POWER)
    assert guest.asked == []
    assert by_name(report, "saving").outcome is Outcome.SAVED


def test_a_guest_that_is_free_again_after_a_job_is_asked(tmp_path: Path) -> None:
    guest = FakeGuest("dumped", traits=GuestFacts(job=OtherJob.DUMP))

    def over(_: FakeHypervisor) -> None:
        guest.traits = GuestFacts()

    run_shutdown(tmp_path, [guest], meanwhile=at(10.5, over))
    assert guest.asked == [(11, "acpi")]


def test_a_sleeping_guest_is_woken_and_asked(tmp_path: Path) -> None:
    guest = FakeGuest("asleep", state=GuestState.SUSPENDED)
    report = run_shutdown(tmp_path, [guest])
    assert hows(guest) == ["wake", "acpi"]
    assert by_name(report, "asleep").outcome is Outcome.STOPPED


def test_a_crashed_guest_goes_straight_to_its_last_resort(tmp_path: Path) -> None:
    guest = FakeGuest("crashed", state=GuestState.CRASHED)
    report = run_shutdown(tmp_path, [guest], reason=Reason.POWER)
    assert guest.asked == [(0, "destroy")]
    assert report.run.exit_code == 1


def test_a_guest_that_crashes_while_it_is_waited_for_meets_the_last_resort_at_once(tmp_path: Path) -> None:
    guest = FakeGuest("crashes", deaf_to=DEAF)
    report = run_shutdown(
        tmp_path, [guest], reason=Reason.POWER, meanwhile=at(7, lambda hypervisor: hypervisor.crash(guest))
    )
    assert guest.asked == [(0, "acpi"), (7, "destroy")]
    assert by_name(report, "crashes").attempts[1].message == "its system has crashed"
    assert report.run.exit_code == 1


@pytest.mark.parametrize("heard", [True, False])
def test_a_guest_that_has_crashed_and_begun_anew_before_its_turn_is_asked(tmp_path: Path, *, heard: bool) -> None:
    """As with `on_crash=restart`, or where it has dumped its memory and rebooted."""
    web, db = FakeGuest("web", takes=20), FakeGuest("db")

    def begin_anew(hypervisor: FakeHypervisor) -> None:
        db.state = GuestState.RUNNING
        if heard:
            hypervisor.tell(GuestRebooted(db.uri, db.uuid))

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        at(3, lambda it: it.crash(db))(hypervisor, run)
        at(5, begin_anew)(hypervisor, run)

    config = "guests: [{match: web, depends_on: [db]}]"
    report = run_shutdown(tmp_path, [web, db], config=config, reason=Reason.POWER, meanwhile=meanwhile)
    assert db.asked == [(20, "acpi")]
    assert by_name(report, "db").outcome is Outcome.STOPPED


def test_a_guest_that_restarts_on_poweroff_is_kept_from_it_for_this_stop(tmp_path: Path) -> None:
    guest = FakeGuest("restarts", reboots=99, traits=GuestFacts(restarts=True), takes=3)
    report = run_shutdown(tmp_path, [guest])
    assert hows(guest) == ["on_poweroff destroy", "acpi"]
    assert by_name(report, "restarts").outcome is Outcome.STOPPED


def test_what_was_changed_is_put_back_before_a_save_and_when_the_guest_stays_up(tmp_path: Path) -> None:
    guest = FakeGuest("r", deaf_to=frozenset({"acpi", "save"}), traits=GuestFacts(restarts=True))
    config = "defaults: {stop: [{acpi: {timeout: 5s}}, {save: {timeout: 5s}}, {acpi: {timeout: 5s}}]}"
    run_shutdown(tmp_path, [guest], config=config)
    change, back = "on_poweroff destroy", "on_poweroff restart"
    assert hows(guest) == [change, "acpi", back, "save", change, "acpi", back]


def test_a_guest_that_reboots_instead_of_powering_off_is_asked_again(tmp_path: Path) -> None:
    guest = FakeGuest("windows", reboots=2, takes=3)
    report = run_shutdown(tmp_path, [guest], config="defaults: {stop: [{acpi: {timeout: 2min, resend: 0}}]}")
    assert hows(guest) == ["acpi"] * 3
    assert by_name(report, "windows").outcome is Outcome.STOPPED


def test_a_save_is_refused_in_advance_for_a_guest_that_cannot_be_saved(tmp_path: Path) -> None:
    guest = FakeGuest("gpu", traits=GuestFacts(unsaveable="it has a PCI host device"))
    report = run_shutdown(tmp_path, [guest], config="defaults: {stop: [save, acpi]}")
    assert hows(guest) == ["acpi"]
    assert by_name(report, "gpu").attempts[0].message == "it has a PCI host device"


def test_a_guest_for_which_no_rung_is_fit_is_still_asked(tmp_path: Path) -> None:
    guest = FakeGuest("gpu", traits=GuestFacts(unsaveable="it has a PCI host device"))
    run_shutdown(tmp_path, [guest], config="defaults: {stop: [save]}", reason=Reason.POWER)
    assert hows(guest) == ["default"]


def test_containers_get_signals_unless_somebody_chose_a_ladder(tmp_path: Path) -> None:
    polite = FakeGuest("polite", driver="LXC", takes=2)
    stubborn = FakeGuest("stubborn", driver="LXC", deaf_to=frozenset({"signal 38"}))
    chosen = FakeGuest("chosen", driver="LXC")
    config = "guests: [{match: chosen, stop: [{signal: 15}]}]"
    report = run_shutdown(tmp_path, [polite, stubborn, chosen], config=config)
    assert hows(polite) == ["signal 38"]
    assert stubborn.asked == [(0, "signal 38"), (90, "signal 15")]
    assert hows(chosen) == ["signal 15"]
    assert {guest.outcome for guest in report.guests} == {Outcome.STOPPED}


def test_a_ladder_for_machines_leaves_no_container_unasked(tmp_path: Path) -> None:
    box = FakeGuest("box", driver="LXC")
    run_shutdown(tmp_path, [box], config="defaults: {stop: [acpi]}")
    assert hows(box) == ["signal 38"]


def test_a_last_resort_may_be_a_ladder_of_its_own(tmp_path: Path) -> None:
    guest = FakeGuest("g", deaf_to=DEAF, hangs_in=frozenset({"save"}))
    config = (
        "shutdown: {deadline: 100s, reserve: 30s}\n"
        "defaults: {last_resort: [save, destroy], stop: [{acpi: {resend: 0}}]}"
    )
    report = run_shutdown(tmp_path, [guest], config=config, reason=Reason.POWER)
    assert guest.asked == [(0, "acpi"), (70, "save"), (87.5, "abort"), (87.5, "destroy")]
    assert by_name(report, "g").outcome is Outcome.FORCED


def test_leave_as_a_last_resort_leaves_even_in_a_host_stop(tmp_path: Path) -> None:
    guest = FakeGuest("g", deaf_to=DEAF)
    config = "defaults: {last_resort: leave, stop: [{acpi: {timeout: 5s, resend: 0}}]}"
    report = run_shutdown(tmp_path, [guest], config=config, reason=Reason.POWER)
    assert hows(guest) == ["acpi"]
    assert by_name(report, "g").outcome is Outcome.LEFT


def test_a_guest_that_appears_during_the_run_is_swept_up(tmp_path: Path) -> None:
    late = FakeGuest("late", appears_at=4, takes=2)
    report = run_shutdown(tmp_path, [FakeGuest("first", takes=10), late])
    assert late.asked == [(4, "acpi")], "at once, not after the others"
    assert by_name(report, "late").outcome is Outcome.STOPPED
    assert waiting_guests(tmp_path) == ["first", "late"]
    assert "started while the run goes on" in report.problems[0].message
    assert report.run.duration == pytest.approx(10)


def test_a_guest_that_appears_unheard_is_found_by_the_next_round(tmp_path: Path) -> None:
    late = FakeGuest("late", appears_at=1000, takes=2)

    def quietly(_: FakeHypervisor) -> None:
        late.state = GuestState.RUNNING

    run_shutdown(tmp_path, [FakeGuest("first", takes=10), late], meanwhile=at(4, quietly))
    assert late.asked == [(5, "acpi")]


def test_a_guest_that_somebody_starts_again_is_stopped_again(tmp_path: Path) -> None:
    again, slow = FakeGuest("again", takes=2), FakeGuest("slow", takes=30)
    report = run_shutdown(
        tmp_path, [again, slow], meanwhile=at(6, lambda hypervisor: hypervisor.begin(again)), reason=Reason.POWER
    )
    assert again.asked == [(0, "acpi"), (6, "acpi")]
    assert again.state is GuestState.OFF
    assert by_name(report, "again").outcome is Outcome.STOPPED
    assert sorted(waiting_guests(tmp_path)) == ["again", "slow"]


def test_a_guest_that_came_back_unheard_is_found_by_the_next_round_and_looked_at_anew(tmp_path: Path) -> None:
    again = FakeGuest("again", takes=2, traits=GuestFacts(metadata={"stop": "[save]"}))

    def quietly(_: FakeHypervisor) -> None:
        again.state, again.ended, again.traits = GuestState.RUNNING, None, GuestFacts()

    run_shutdown(tmp_path, [again, FakeGuest("slow", takes=30)], meanwhile=at(6, quietly))
    assert again.asked == [(0, "save"), (10, "acpi")]


def test_a_voluntary_run_does_not_fight_for_ever(tmp_path: Path) -> None:
    again = FakeGuest("again", takes=1)

    def meanwhile(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        for second in range(5, 500, 5):
            hypervisor.loop.call_later(second, hypervisor.begin, again)

    report = run_shutdown(tmp_path, [again, FakeGuest("slow", takes=60)], meanwhile=meanwhile)
    assert len(again.asked) == 3
    assert report.run.duration < 100


def test_a_run_for_named_guests_leaves_those_that_appear_alone(tmp_path: Path) -> None:
    late = FakeGuest("late", appears_at=1)
    run_shutdown(tmp_path, [FakeGuest("a", takes=5), late], names=["a"])
    assert late.asked == []


def test_a_connection_that_comes_back_costs_nobody_and_everybody_is_asked_again(tmp_path: Path) -> None:
    off, runs = FakeGuest("off", takes=5), FakeGuest("runs", deaf_to=DEAF)

    def meanwhile(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        hypervisor.loop.call_later(2, lambda: hypervisor.lose(URI, back_after=10))
        hypervisor.loop.call_later(11, setattr, runs, "deaf_to", frozenset[str]())

    config = "defaults: {stop: [{acpi: {timeout: 2min, resend: 0}}]}"
    report = run_shutdown(tmp_path, [off, runs], config=config, meanwhile=meanwhile)
    assert off.asked == [(0, "acpi")], "libvirt said that it is off before it was asked again"
    assert [moment for moment, _ in runs.asked] == [0, 12]
    assert {guest.outcome for guest in report.guests} == {Outcome.STOPPED}
    assert report.run.duration == pytest.approx(13)


def test_a_guest_whose_turn_comes_while_the_connection_is_dead_is_asked_when_it_is_back(tmp_path: Path) -> None:
    first, second = FakeGuest("first", takes=4, uri="fake:///other"), FakeGuest("second", takes=1)

    def meanwhile(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        hypervisor.loop.call_later(2, lambda: hypervisor.lose(URI, back_after=20))

    config = "guests: [{match: first, depends_on: second}]"
    report = run_shutdown(tmp_path, [first, second], config=config, meanwhile=meanwhile)
    assert [how for _, how in second.asked] == ["acpi"]
    assert second.asked[0][0] == pytest.approx(22)
    assert report.run.exit_code == 0


def test_a_request_that_met_a_dead_connection_does_not_use_up_its_rung(tmp_path: Path) -> None:
    guest, found = FakeGuest("g"), list[FakeHypervisor]()

    class Dies:
        @lastcall.hookimpl
        def on_guest_stop(self, guest: Guest, run: Run) -> None:
            found[0].lose(URI, back_after=3)

    def meanwhile(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        found.append(hypervisor)

    report = run_shutdown(tmp_path, [guest], plugins={"dies": Dies()}, meanwhile=meanwhile)
    assert guest.asked == [(3, "acpi")]
    assert by_name(report, "g").outcome is Outcome.STOPPED


def test_what_became_of_a_guest_is_asked_when_its_connection_is_back_after_its_ladder(tmp_path: Path) -> None:
    guest = FakeGuest("g", takes=3)

    def meanwhile(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        hypervisor.loop.call_later(1, lambda: hypervisor.lose(URI, back_after=40))

    config = "defaults: {stop: [{acpi: {timeout: 10s}}]}"
    report = run_shutdown(tmp_path, [guest], config=config, meanwhile=meanwhile)
    assert by_name(report, "g").outcome is Outcome.STOPPED
    assert report.run.duration == pytest.approx(41)


def test_settings_of_plugins_lie_between_metadata_and_rules(tmp_path: Path) -> None:
    class Inventory:
        @lastcall.hookimpl
        def guest_settings(self, guest: Guest, run: Run) -> dict[str, object]:
            return {"manage": guest.name != "pacemaker", "timeout": "7s"}

    pacemaker = FakeGuest("pacemaker")
    ruled = FakeGuest("ruled", deaf_to=DEAF, traits=GuestFacts(metadata={"timeout": "3s"}))
    config = "guests: [{match: ruled, timeout: 11s}]\ndefaults: {stop: [acpi, save]}"
    report = run_shutdown(tmp_path, [pacemaker, ruled], plugins={"cmdb": Inventory()}, config=config)
    assert pacemaker.asked == []
    assert by_name(report, "ruled").attempts[0].duration == pytest.approx(11)


def test_a_plugin_that_tells_nonsense_of_a_guest_is_not_believed(tmp_path: Path) -> None:
    class Nonsense:
        @lastcall.hookimpl
        def guest_settings(self, guest: Guest, run: Run) -> dict[str, object]:
            return {"timeout": "soon"}

    report = run_shutdown(tmp_path, [FakeGuest("g")], plugins={"nonsense": Nonsense()})
    assert by_name(report, "g").outcome is Outcome.STOPPED
    assert "guest_settings of nonsense" in report.problems[0].message


def test_plugins_hear_of_a_guest_that_is_stuck_before_the_last_resort(tmp_path: Path) -> None:
    seen: list[object] = []

    class Looks:
        @lastcall.hookimpl
        def on_guest_stuck(self, guest: Guest, attempts: tuple[Attempt, ...], run: Run) -> None:
            seen.append((guest.name, [attempt.method for attempt in attempts], run.domain(guest).state()))
            assert run.remaining() <= 5

    guests = [FakeGuest("deaf", deaf_to=DEAF), FakeGuest("fine")]
    config = "defaults: {stop: [{acpi: {timeout: 5s}}]}"
    run_shutdown(tmp_path, guests, plugins={"looks": Looks()}, config=config, reason=Reason.POWER)
    assert seen == [("deaf", ["acpi"], GuestState.RUNNING)]


def test_metadata_lies_between_defaults_and_rules_and_a_wrong_key_costs_only_itself(tmp_path: Path) -> None:
    def guest(name: str, **texts: str) -> FakeGuest:
        return FakeGuest(name, deaf_to=DEAF, traits=GuestFacts(metadata=texts))

    mine, ruled = guest("mine", timeout="7s", colour="red"), guest("ruled", timeout="7s")
    config = "defaults: {stop: [acpi, {save: {timeout: 9s}}], timeout: 5s}\nguests: [{match: ruled, timeout: 11s}]"
    report = run_shutdown(tmp_path, [mine, ruled, guest("plain")], config=config)
    times = {one.name: one.attempts[0].duration for one in report.guests}
    assert times == {"mine": 7, "ruled": 11, "plain": 5}
    assert [(problem.what, problem.where) for problem in report.problems] == [("metadata", "mine")]
    assert "colour: unknown key" in report.problems[0].message


def test_metadata_orders_guests_and_goes_with_them_to_the_restore(tmp_path: Path) -> None:
    web = FakeGuest("web", takes=4, traits=GuestFacts(metadata={"depends_on": "db"}))
    db = FakeGuest("db", takes=1)
    run_shutdown(tmp_path, [db, web])
    assert db.asked[0][0] == 4
    report = run_restore(tmp_path, [db, web], config="restore: {parallel: 1}")
    assert by_name(report, "web").waited_for == ("db",)


def test_metadata_never_sets_a_command(tmp_path: Path) -> None:
    guest = FakeGuest(
        "g", traits=GuestFacts(metadata={"ready": "{command: 'touch /tmp/owned'}", "hooks": "{timeout: 1s}"})
    )
    report = run_shutdown(tmp_path, [guest])
    assert ["cannot be set by metadata" in problem.message for problem in report.problems] == [True, True]
    assert "ready.command" in report.problems[0].message


def test_a_run_by_hand_that_was_interrupted_goes_on_when_the_host_stops_after_all(tmp_path: Path) -> None:
    first, second, deaf = FakeGuest("first", takes=10), FakeGuest("second", takes=2), FakeGuest("deaf", deaf_to=DEAF)

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(1, run.interrupt)
        hypervisor.loop.call_later(2, run.join, Reason.POWER, Deadline.after(0, 60, reserve=20, grace=10))

    config = "guests: [{match: first, depends_on: [second]}]\ndefaults: {stop: [{acpi: {resend: 0}}]}"
    report = run_shutdown(tmp_path, [first, second, deaf], config=config, meanwhile=meanwhile)
    assert second.asked == [(10, "acpi")]
    assert deaf.asked == [(0, "acpi"), (40, "destroy")], "the earlier deadline counts, and the last resort is taken"
    assert (report.run.reason, report.run.deadline) == (Reason.POWER, 60)
    assert json.loads((tmp_path / "state.json").read_text())["guests"][0]["due"] is True


def test_only_guests_that_went_off_by_themselves_teach_how_long_they_take(tmp_path: Path) -> None:
    clean, deaf = FakeGuest("clean", takes=7), FakeGuest("deaf", deaf_to=DEAF)
    for takes in (7, 9, 20):
        clean.takes = takes
        clean.state = deaf.state = GuestState.RUNNING
        run_shutdown(tmp_path, [clean, deaf], config="defaults: {stop: [{acpi: {timeout: 30s}}]}", force=True)
    history = History(tmp_path)
    history.load()
    usual = history.usual(clean.guest.key)
    assert (usual and usual.seconds, history.usual(deaf.guest.key)) == (9, None)
    history.path.write_text("nonsense")
    history.load()
    assert history.usual(clean.guest.key) is None


def test_what_was_changed_is_put_back_when_a_run_by_hand_is_told_twice_to_end(tmp_path: Path) -> None:
    guest = FakeGuest("r", deaf_to=DEAF, traits=GuestFacts(restarts=True))

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(1, run.interrupt)
        hypervisor.loop.call_later(2, run.interrupt)

    run_shutdown(tmp_path, [guest], meanwhile=meanwhile)
    assert hows(guest) == ["on_poweroff destroy", "acpi", "on_poweroff restart"]
    assert json.loads((tmp_path / "state.json").read_text())["guests"][0]["restarts"] is False


@pytest.mark.parametrize("for_good", [False, True])
def test_what_could_not_be_put_back_is_not_forgotten_where_the_guest_is_seen_off_once_more(
    tmp_path: Path, *, for_good: bool
) -> None:
    guest, other = FakeGuest("r", deaf_to=DEAF, traits=GuestFacts(restarts=True)), FakeGuest("other", takes=30)

    def refuse(_: FakeHypervisor) -> None:
        guest.refuses = frozenset({"on_poweroff"})

    def allow(_: FakeHypervisor) -> None:
        guest.refuses = frozenset({"on_poweroff"} if for_good else ())

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        at(3, refuse)(hypervisor, run)
        hypervisor.loop.call_later(8, run.join, Reason.POWER, Deadline.after(8, 60, reserve=20, grace=10))
        at(20, allow)(hypervisor, run)

    config = "guests: [{match: r, stop: [{acpi: {timeout: 5s}}], last_resort: leave}]"
    run_shutdown(tmp_path, [guest, other], config=config, meanwhile=meanwhile)
    assert hows(guest)[-1] == "on_poweroff restart"
    entries = json.loads((tmp_path / "state.json").read_text())["guests"]
    assert [entry["restarts"] for entry in entries if entry["name"] == "r"] == [for_good]


def test_that_on_poweroff_is_replaced_is_on_the_list_before_it_is(tmp_path: Path) -> None:
    guest, seen = FakeGuest("r", traits=GuestFacts(restarts=True)), list[bool]()

    class Reads:
        @lastcall.hookimpl
        def on_guest_stop(self) -> None:
            seen.append(json.loads((tmp_path / "state.json").read_text())["guests"][0]["restarts"])

    run_shutdown(tmp_path, [guest], plugins={"reads": Reads()})
    assert seen == [True]
    assert json.loads((tmp_path / "state.json").read_text())["guests"][0]["restarts"] is False, "it is off"


def test_the_next_stop_of_a_guest_whose_stop_was_killed_knows_what_it_was(tmp_path: Path) -> None:
    guest = FakeGuest("r", deaf_to=DEAF)
    list_of_a_killed_run(tmp_path, [guest.guest], restarting=[guest.guest.key])
    run_shutdown(tmp_path, [guest], config="defaults: {stop: [{acpi: {timeout: 5s}}]}")
    assert hows(guest) == ["on_poweroff destroy", "acpi", "on_poweroff restart"]


def test_requests_that_do_not_return_keep_nobody_else_from_being_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stop_request, "AT_ONCE", 2)
    hung = [FakeGuest(f"hung-{n}", hangs_in=frozenset({"agent", "acpi"}), agent=True) for n in range(3)]
    first, second = FakeGuest("first", takes=8), FakeGuest("second")
    config = """
shutdown: {deadline: 10min}
defaults: {stop: [{agent: {timeout: 5s}}, acpi]}
guests: [{match: first, depends_on: [second]}]
"""
    report = run_shutdown(tmp_path, [*hung, first, second], config=config, reason=Reason.POWER)
    assert by_name(report, "second").outcome is Outcome.STOPPED
    assert (second.off_at or 600) < 60, "and not only when those that hang have met their last resort"
