"""The shutdown run on a fake hypervisor with a clock that jumps: no thread, no sleep."""

import threading
from pathlib import Path

import pytest

import lastcall
from lastcall import Guest, GuestResult, Outcome, Reason, Run
from lastcall.records.records import GuestAsked, GuestEnded, Record
from lastcall.runs.shutdown import Shutdown
from lastcall.testing.memory import FakeGuest, FakeHypervisor, run_restore, run_shutdown
from support import by_name, waiting_guests


def test_a_run_lasts_as_long_as_its_slowest_guest_and_needs_no_thread(tmp_path: Path) -> None:
    threads = set(threading.enumerate())
    guests = [FakeGuest(f"g{number}", takes=number) for number in range(300)]
    report = run_shutdown(tmp_path, guests)
    assert report.run.duration == pytest.approx(299)
    assert {guest.outcome for guest in report.guests} == {Outcome.STOPPED}
    assert report.run.exit_code == 0
    assert set(threading.enumerate()) <= threads


def test_a_deaf_guest_meets_its_next_rung_exactly_at_its_timeout_and_delays_nobody(tmp_path: Path) -> None:
    deaf, other = FakeGuest("deaf", deaf_to=frozenset({"acpi"})), FakeGuest("other", takes=3)
    ladder = "defaults: {stop: [{acpi: {timeout: 30s, resend: 0}}, {destroy: {timeout: 10s}}]}"
    report = run_shutdown(tmp_path, [deaf, other], config=ladder)
    assert deaf.asked == [(0.0, "acpi"), (30.0, "destroy")]
    result = by_name(report, "deaf")
    assert [(attempt.method, attempt.result) for attempt in result.attempts] == [
        ("acpi", "timeout"),
        ("destroy", "forced"),
    ]
    assert (result.outcome, result.method, result.ended) == (Outcome.FORCED, "destroy", "destroyed")
    assert by_name(report, "other").duration == pytest.approx(3)
    assert report.run.exit_code == 1


def test_a_request_that_is_refused_leads_to_the_next_rung_at_once(tmp_path: Path) -> None:
    guest = FakeGuest("g", refuses=frozenset({"acpi"}), takes=2)
    report = run_shutdown(tmp_path, [guest], config="defaults: {stop: [acpi, save]}")
    assert guest.asked == [(0.0, "acpi"), (0.0, "save")]
    assert by_name(report, "g").outcome is Outcome.SAVED
    assert by_name(report, "g").attempts[0].message == "acpi is refused"


@pytest.mark.parametrize("method", ["acpi", "agent"])
def test_a_guest_that_goes_off_while_it_is_asked_is_stopped_whatever_became_of_the_request(
    tmp_path: Path, method: str
) -> None:
    """QEMU is gone, libvirt has not said so yet: to ask by the next method, or to give up, would be wrong."""
    guest = FakeGuest("quick", agent=True, breaks=frozenset({"default", "acpi", "agent"}), takes=1.2)
    report = run_shutdown(tmp_path, [guest], config=f"defaults: {{stop: [{method}]}}")
    (result,) = report.guests
    assert (result.outcome, result.method, result.ended) == (Outcome.STOPPED, method, "shutdown")
    assert len(guest.asked) == 1


def test_destroy_is_graceful_first_then_hard_and_only_hard_when_time_is_short(tmp_path: Path) -> None:
    stuck, config = (
        FakeGuest("stuck", refuses=frozenset({"graceful"})),
        "defaults: {stop: [{destroy: {timeout: 2min}}]}",
    )
    report = run_shutdown(tmp_path, [stuck], config=config)
    assert [how for _, how in stuck.asked] == ["graceful", "destroy"]
    assert (by_name(report, "stuck").outcome, report.run.exit_code) == (Outcome.FORCED, 0)
    hurried = FakeGuest("hurried")
    run_shutdown(tmp_path, [hurried], config=config + "\nshutdown: {deadline: 45s}", reason=Reason.POWER)
    assert [how for _, how in hurried.asked] == ["destroy"]


def test_acpi_is_sent_again_until_the_guest_hears_it(tmp_path: Path) -> None:
    guest = FakeGuest("windows", takes=25)
    run_shutdown(tmp_path, [guest], config="defaults: {stop: [{acpi: {resend: 10s, timeout: 1min}}]}")
    assert [at for at, _ in guest.asked] == [0.0, 10.0, 20.0]


def test_a_guest_that_nothing_stops_is_left_running_by_a_voluntary_run_and_stays_on_the_list(tmp_path: Path) -> None:
    guest = FakeGuest("deaf", deaf_to=frozenset({"acpi"}))
    report = run_shutdown(tmp_path, [guest], config="defaults: {stop: [{acpi: {timeout: 5s}}]}")
    assert by_name(report, "deaf").outcome is Outcome.LEFT
    assert report.run.exit_code == 1
    assert waiting_guests(tmp_path) == ["deaf"], "it was asked, and may go off later"


@pytest.mark.parametrize(("reason", "force"), [(Reason.POWEROFF, False), (Reason.MANUAL, True)])
def test_the_last_resort_is_taken_by_a_host_stop_and_by_force(tmp_path: Path, reason: Reason, *, force: bool) -> None:
    guest = FakeGuest("deaf", deaf_to=frozenset({"acpi"}))
    config = "defaults: {stop: [{acpi: {timeout: 5s}}]}"
    report = run_shutdown(tmp_path, [guest], config=config, reason=reason, force=force)
    assert [how for _, how in guest.asked] == ["acpi", "destroy"]
    assert by_name(report, "deaf").outcome is Outcome.FORCED


def test_everything_left_meets_the_last_resort_at_deadline_minus_reserve_at_once(tmp_path: Path) -> None:
    guests = [FakeGuest(f"deaf-{number}", deaf_to=frozenset({"acpi"})) for number in range(20)]
    config = "shutdown: {deadline: 100s, reserve: 20s}\ndefaults: {stop: [{acpi: {resend: 0}}]}"
    report = run_shutdown(tmp_path, guests, config=config, reason=Reason.POWER)
    assert {guest.off_at for guest in guests} == {80.0}
    assert report.run.duration <= 100


def test_whoever_still_waits_for_a_turn_is_asked_before_the_last_resort(tmp_path: Path) -> None:
    first, second = FakeGuest("a", deaf_to=frozenset({"acpi"})), FakeGuest("b", takes=1)
    config = (
        "shutdown: {deadline: 100s, reserve: 20s, grace: 20s, parallel: 1}\ndefaults: {stop: [{acpi: {resend: 0}}]}"
    )
    report = run_shutdown(tmp_path, [first, second], config=config, reason=Reason.POWER)
    assert second.asked == [(60.0, "acpi")]
    assert by_name(report, "b").out_of_order
    assert by_name(report, "b").outcome is Outcome.STOPPED


def test_at_most_parallel_guests_move_at_once(tmp_path: Path) -> None:
    guests = [FakeGuest(f"g{number}", takes=8) for number in range(9)]
    report = run_shutdown(tmp_path, guests, config="shutdown: {parallel: 3}")
    assert report.run.duration == pytest.approx(24)
    assert sorted(at for guest in guests for at, _ in guest.asked) == [0.0] * 3 + [8.0] * 3 + [16.0] * 3


def test_hooks_fire_in_order_around_each_guest(tmp_path: Path) -> None:
    seen: list[str] = []

    class Plugin:
        @lastcall.hookimpl
        def pre_shutdown(self, run: Run) -> None:
            seen.append(f"pre_shutdown {[guest.name for guest in run.guests]}")
            assert (run.folder.parent.parent / "state.json").exists(), "the list has to be on disk before any hook"

        @lastcall.hookimpl
        def on_guest_stop(self, guest: Guest, run: Run) -> None:
            seen.append(f"stop {guest.name} {run.domain(guest).state().value}")

        @lastcall.hookimpl
        def on_guest_stopped(self, guest: Guest, result: GuestResult) -> None:
            seen.append(f"stopped {guest.name} {result.outcome.value}")

        @lastcall.hookimpl
        def post_shutdown(self, report: lastcall.Report) -> None:
            seen.append(f"post_shutdown {[guest.outcome.value for guest in report.guests]}")

    report = run_shutdown(tmp_path, [FakeGuest("a", takes=1), FakeGuest("b", takes=2)], plugins={"spy": Plugin()})
    assert report.run.exit_code == 0, report
    assert seen == [
        "pre_shutdown ['a', 'b']",
        "stop a running",
        "stop b running",
        "stopped a stopped",
        "stopped b stopped",
        "post_shutdown ['stopped', 'stopped']",
    ]


def test_a_guest_that_went_off_by_itself_was_not_asked_and_is_still_brought_back(tmp_path: Path) -> None:
    guest = FakeGuest("g")

    class StopsIt:
        @lastcall.hookimpl
        def pre_shutdown(self, run: Run) -> None:
            run.domain(run.guests[0]).shutdown("acpi")

    report = run_shutdown(
        tmp_path, [guest], plugins={"stopvm": StopsIt()}, config="defaults: {stop: [{acpi: {timeout: 9s}}]}"
    )
    result = by_name(report, "g")
    assert (result.outcome, result.ended) == (Outcome.STOPPED, "shutdown")
    assert report.run.exit_code == 0
    assert waiting_guests(tmp_path) == ["g"]


def test_a_lost_connection_makes_its_guests_unknown_never_stopped(tmp_path: Path) -> None:
    lost, fine = FakeGuest("lost", takes=60, uri="fake:///a"), FakeGuest("fine", takes=5, uri="fake:///b")

    def meanwhile(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        hypervisor.loop.call_later(2, hypervisor.lose, "fake:///a")

    report = run_shutdown(tmp_path, [lost, fine], meanwhile=meanwhile)
    assert by_name(report, "lost").outcome is Outcome.UNKNOWN
    assert by_name(report, "fine").outcome is Outcome.STOPPED
    assert report.run.exit_code == 1
    assert "lost" in waiting_guests(tmp_path), "what is not known to run is not forgotten"


def test_a_dead_connection_is_a_problem_and_holds_up_nobody(tmp_path: Path) -> None:
    report = run_shutdown(
        tmp_path,
        [FakeGuest("fine", uri="fake:///b"), FakeGuest("unseen", uri="fake:///a")],
        dead=["fake:///a"],
    )
    assert [guest.name for guest in report.guests] == ["fine"]
    assert [(problem.what, problem.where) for problem in report.problems] == [("connection", "fake:///a")]
    assert report.run.exit_code == 1


def test_an_event_that_never_came_is_made_up_for_by_the_safety_poll(tmp_path: Path) -> None:
    guest = FakeGuest("g", deaf_to=frozenset({"acpi"}))

    def meanwhile(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        def vanish() -> None:
            guest.state, guest.ended = lastcall.GuestState.OFF, None

        hypervisor.loop.call_later(2, vanish)

    report = run_shutdown(tmp_path, [guest], meanwhile=meanwhile)
    assert by_name(report, "g").outcome is Outcome.STOPPED
    assert report.run.duration <= 10


def test_the_first_signal_asks_nobody_else_and_waits_for_those_who_were(tmp_path: Path) -> None:
    guests = [FakeGuest(f"g{number}", takes=10) for number in range(4)]

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(1, run.interrupt)

    report = run_shutdown(tmp_path, guests, config="shutdown: {parallel: 2}", meanwhile=meanwhile)
    assert [guest.outcome for guest in report.guests] == [Outcome.STOPPED] * 2 + [Outcome.SKIPPED] * 2
    assert report.run.duration == pytest.approx(10)
    assert report.run.exit_code == 1
    assert waiting_guests(tmp_path) == ["g0", "g1"]


def test_the_second_signal_reports_and_ends(tmp_path: Path) -> None:
    guest = FakeGuest("g", takes=100)

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(1, run.interrupt)
        hypervisor.loop.call_later(2, run.interrupt)

    report = run_shutdown(tmp_path, [guest], meanwhile=meanwhile, force=True)
    assert report.run.duration == pytest.approx(2)
    assert by_name(report, "g").outcome is Outcome.LEFT


def test_a_signal_during_a_host_stop_means_last_resort_in_a_moment_and_a_second_one_at_once(tmp_path: Path) -> None:
    guest = FakeGuest("g", takes=100)

    def once(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(3, run.interrupt)

    report = run_shutdown(tmp_path, [guest], meanwhile=once, reason=Reason.POWER)
    assert guest.off_at == 8.0
    assert by_name(report, "g").outcome is Outcome.FORCED
    again = FakeGuest("g", takes=100)

    def twice(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(3, run.interrupt)
        hypervisor.loop.call_later(4, run.interrupt)

    run_shutdown(tmp_path, [again], meanwhile=twice, reason=Reason.POWER)
    assert again.off_at == 4.0


class _SkipsItsGuest:
    @lastcall.hookimpl
    def on_guest_stop(self, guest: Guest) -> None:
        if guest.name == "db":
            raise lastcall.HookFailed("the flush failed")


def test_skip_guest_leaves_the_guest_running_in_a_voluntary_run(tmp_path: Path) -> None:
    db = FakeGuest("db")
    config = "hooks: {plugins: {flush: {on_failure: skip_guest}}}"
    report = run_shutdown(tmp_path, [db, FakeGuest("other")], plugins={"flush": _SkipsItsGuest()}, config=config)
    assert db.asked == []
    assert by_name(report, "db").outcome is Outcome.SKIPPED
    assert by_name(report, "other").outcome is Outcome.STOPPED
    assert report.run.exit_code == 1


def test_skip_guest_still_asks_the_guest_in_a_host_stop_late_and_without_its_hook(tmp_path: Path) -> None:
    db = FakeGuest("db")
    config = "hooks: {plugins: {flush: {on_failure: skip_guest}}}\nshutdown: {deadline: 100s, reserve: 20s, grace: 20s}"
    report = run_shutdown(tmp_path, [db], plugins={"flush": _SkipsItsGuest()}, config=config, reason=Reason.REBOOT)
    assert db.asked == [(60.0, "acpi")]
    assert by_name(report, "db").outcome is Outcome.STOPPED


class _Aborts:
    @lastcall.hookimpl
    def pre_shutdown(self) -> None:
        raise lastcall.HookFailed("a backup is running")


def test_abort_ends_a_voluntary_run_before_any_guest_is_touched(tmp_path: Path) -> None:
    guest = FakeGuest("g")
    config = "hooks: {plugins: {backup: {on_failure: abort}}}"
    report = run_shutdown(tmp_path, [guest], plugins={"backup": _Aborts()}, config=config)
    assert guest.asked == []
    assert report.run.exit_code == 1
    assert "a backup is running" in report.problems[0].message
    assert waiting_guests(tmp_path) == []


def test_abort_does_not_stop_a_host_stop(tmp_path: Path) -> None:
    guest = FakeGuest("g")
    config = "hooks: {plugins: {backup: {on_failure: abort}}}"
    run_shutdown(tmp_path, [guest], plugins={"backup": _Aborts()}, config=config, reason=Reason.POWEROFF)
    assert guest.off_at == 1.0


def test_a_guest_that_is_not_managed_is_listed_and_never_touched(tmp_path: Path) -> None:
    guest = FakeGuest("ha-vip")
    report = run_shutdown(tmp_path, [guest], config='guests: [{match: "ha-*", manage: false}]', reason=Reason.POWER)
    assert guest.asked == []
    assert by_name(report, "ha-vip").outcome is Outcome.SKIPPED
    assert waiting_guests(tmp_path) == []
    assert report.run.exit_code == 0


def test_a_paused_guest_is_saved_because_it_cannot_hear_acpi(tmp_path: Path) -> None:
    guest = FakeGuest("p", state=lastcall.GuestState.PAUSED)
    report = run_shutdown(tmp_path, [guest])
    assert guest.asked == [(0.0, "save")]
    assert by_name(report, "p").outcome is Outcome.SAVED


def test_an_unknown_rung_is_a_problem_and_is_skipped(tmp_path: Path) -> None:
    guest = FakeGuest("g")
    report = run_shutdown(tmp_path, [guest], config="defaults: {stop: [acpii, save]}")
    assert [how for _, how in guest.asked] == ["save"]
    assert "did you mean 'acpi'" in report.problems[0].message


def test_a_ladder_of_which_nothing_is_left_falls_back_to_libvirts_own_request(tmp_path: Path) -> None:
    guest = FakeGuest("g")
    run_shutdown(tmp_path, [guest], config="defaults: {stop: []}")
    assert guest.asked == [(0.0, "default")]


def test_only_the_named_guests_are_stopped_and_a_wrong_name_is_a_usage_error(tmp_path: Path) -> None:
    guests = [FakeGuest("web-1"), FakeGuest("web-2")]
    run_shutdown(tmp_path, guests, names=["web-2"])
    assert (guests[0].asked, len(guests[1].asked)) == ([], 1)
    with pytest.raises(lastcall.LastcallError, match="web-9") as caught:
        run_shutdown(tmp_path, guests, names=["web-9"])
    assert "web-1" in caught.value.remedy


def test_the_records_of_a_guest_come_in_the_order_of_its_story(tmp_path: Path) -> None:
    seen: list[Record] = []
    run_shutdown(tmp_path, [FakeGuest("g")], config="defaults: {stop: [acpi]}", sink=seen.append)
    kinds = [type(record).__name__ for record in seen]
    assert kinds == [
        "RunStarted", "GuestPlanned", "StopsForeseen", "GuestBegun", "GuestAsked",
        "AttemptEnded", "GuestWentOff", "GuestEnded", "RunEnded",
    ]  # fmt: skip
    assert isinstance(seen[4], GuestAsked)
    assert isinstance(seen[7], GuestEnded)


def test_a_second_shutdown_before_the_restore_adds_to_the_list(tmp_path: Path) -> None:
    guests = [FakeGuest("a"), FakeGuest("b")]
    run_shutdown(tmp_path, guests, names=["a"])
    run_shutdown(tmp_path, guests)
    assert waiting_guests(tmp_path) == ["a", "b"]
    report = run_restore(tmp_path, guests)
    assert [guest.outcome for guest in report.guests] == [Outcome.STARTED] * 2


def test_a_transient_guest_is_stopped_and_never_looked_for_at_boot(tmp_path: Path) -> None:
    guest = FakeGuest("t", persistent=False)
    report = run_shutdown(tmp_path, [guest])
    assert by_name(report, "t").outcome is Outcome.STOPPED
    assert waiting_guests(tmp_path) == []


def test_a_sink_that_fails_is_a_problem_and_the_run_goes_on(tmp_path: Path) -> None:
    def full(_record: Record) -> None:
        raise OSError(28, "No space left on device")

    guest = FakeGuest("g")
    report = run_shutdown(tmp_path, [guest], sink=full)
    assert guest.off_at == 1.0
    assert [problem.what for problem in report.problems] == ["sink"]
    assert report.run.exit_code == 1


def test_a_time_that_is_over_is_no_reason_to_ask_again(tmp_path: Path) -> None:
    guest = FakeGuest("g", deaf_to=frozenset({"acpi"}))
    ladder = "defaults: {stop: [{acpi: {timeout: 10s, resend: 10s}}, {save: {timeout: 10s}}]}"
    report = run_shutdown(tmp_path, [guest], config=ladder)
    assert guest.asked == [(0.0, "acpi"), (10.0, "save")]
    assert by_name(report, "g").attempts[0].result == "timeout"


def test_a_save_whose_time_is_over_is_aborted_before_the_next_rung(tmp_path: Path) -> None:
    guest = FakeGuest("g", hangs_in=frozenset({"save"}))
    ladder = "defaults: {stop: [{save: {timeout: 10s}}, {acpi: {timeout: 10s}}]}"
    report = run_shutdown(tmp_path, [guest], config=ladder)
    assert guest.asked == [(0.0, "save"), (10.0, "abort"), (10.0, "acpi")]
    assert by_name(report, "g").outcome is Outcome.STOPPED


def test_a_guest_with_an_agent_is_asked_by_it_and_by_acpi_when_the_agent_hangs(tmp_path: Path) -> None:
    healthy, hangs = FakeGuest("healthy", agent=True), FakeGuest("hangs", agent=True, deaf_to=frozenset({"agent"}))
    report = run_shutdown(tmp_path, [healthy, hangs])
    assert [how for _, how in healthy.asked] == ["agent"]
    assert [how for _, how in hangs.asked] == ["acpi"]
    assert [guest.method for guest in report.guests] == ["acpi", "agent"]
