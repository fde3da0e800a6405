"""What "asked" means: the guest can have heard it. Nobody meets the last resort unasked while there is time."""

from collections.abc import Callable
from pathlib import Path

import pytest

import lastcall
from lastcall import Ended, Guest, GuestState, Outcome, Reason, Report
from lastcall.hypervisor.ports import GuestFacts, GuestStarted, OtherJob
from lastcall.persistence.state import StateFile
from lastcall.records.records import GuestAsked, Record
from lastcall.runs.shutdown import Shutdown
from lastcall.testing.memory import FakeGuest, FakeHypervisor, run_restore, run_shutdown
from lastcall.timing.deadline import Deadline
from support import by_name, waiting_guests

SHORT = "shutdown: {deadline: 120s, reserve: 20s, grace: 20s}\n"


def at(seconds: float, do: Callable[[FakeHypervisor, Shutdown], object]) -> Callable[[FakeHypervisor, Shutdown], None]:
    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(seconds, do, hypervisor, run)

    return meanwhile


def hows(guest: FakeGuest) -> list[str]:
    return [how for _, how in guest.asked]


@pytest.mark.parametrize("ladder", ["[acpi]", "[{acpi: {resend: 0}}]", "[save]"])
def test_a_guest_that_somebodys_job_holds_is_asked_again_until_it_can_hear(tmp_path: Path, ladder: str) -> None:
    guest = FakeGuest("dumped", takes=2, busy_until=35.0)
    report = run_shutdown(tmp_path, [guest], config=f"{SHORT}defaults: {{stop: {ladder}}}", reason=Reason.POWER)
    result = by_name(report, "dumped")
    assert result.outcome in {Outcome.STOPPED, Outcome.SAVED}
    assert result.asked is not None
    assert result.asked >= 35, "a refusal is not the guest's answer"
    assert "destroy" not in hows(guest)


def test_a_ladder_of_which_every_rung_is_refused_ends_in_libvirts_own_request(tmp_path: Path) -> None:
    guest = FakeGuest("device", takes=1.5, refuses=frozenset({"save"}))
    report = run_shutdown(tmp_path, [guest], config="defaults: {stop: [save]}", reason=Reason.POWER)
    assert hows(guest) == ["save", "default"]
    assert (by_name(report, "device").outcome, report.run.exit_code) == (Outcome.STOPPED, 0)
    assert by_name(report, "device").asked == 0


def test_a_guest_that_is_paused_for_a_moment_after_planning_is_asked_when_it_runs_again(tmp_path: Path) -> None:
    guest = FakeGuest("backup", takes=2, busy_until=8.0)
    report = run_shutdown(tmp_path, [guest], config=SHORT, reason=Reason.POWER)
    assert by_name(report, "backup").outcome is Outcome.STOPPED
    assert (guest.off_at or 0) < 15


def test_what_a_guest_does_is_looked_up_again_when_its_turn_comes(tmp_path: Path) -> None:
    first, second = FakeGuest("first", takes=10), FakeGuest("second", takes=2)
    config = "shutdown: {parallel: 1}\ndefaults: {paused: resume}"

    def pause(_hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        second.state = GuestState.PAUSED

    run_shutdown(tmp_path, [first, second], config=config, meanwhile=at(5, pause), reason=Reason.POWER)
    assert hows(second) == ["resume", "acpi"]


@pytest.mark.parametrize(
    "config",
    [
        "shutdown: {deadline: 60s, reserve: 20s, grace: 0s, parallel: 1}",
        "shutdown: {deadline: 60s, reserve: 20s, grace: 0s}\nguests: [{match: first, depends_on: second}]",
        "shutdown: {deadline: 60s, reserve: 20s, grace: 20s, parallel: 1}",
    ],
)
def test_who_waits_until_the_last_resort_is_asked_before_its_plug_is_pulled(tmp_path: Path, config: str) -> None:
    first = FakeGuest("first", deaf_to=frozenset({"acpi", "default"}))
    second = FakeGuest("second", takes=3)
    report = run_shutdown(tmp_path, [first, second], config=config, reason=Reason.POWER)
    assert by_name(report, "second").outcome is Outcome.STOPPED
    assert by_name(report, "second").asked is not None


def test_a_guest_started_after_the_last_resort_began_is_asked_and_gets_a_part_of_what_is_left(tmp_path: Path) -> None:
    deaf = FakeGuest("deaf", hangs_in=frozenset({"destroy"}), deaf_to=frozenset({"acpi", "default"}))
    late = FakeGuest("late", takes=1, appears_at=45)
    config = "shutdown: {deadline: 60s, reserve: 20s, grace: 10s}"
    report = run_shutdown(tmp_path, [deaf, late], config=config, reason=Reason.POWER)
    assert hows(late) == ["acpi"]
    assert by_name(report, "late").outcome is Outcome.STOPPED


def test_who_was_never_asked_is_said_so_and_never_as_planned(tmp_path: Path) -> None:
    guest = FakeGuest("g", busy_until=1000)
    report = run_shutdown(tmp_path, [guest], config="shutdown: {deadline: 30s}", reason=Reason.POWER)
    result = by_name(report, "g")
    assert (result.outcome, result.asked, result.message) == (Outcome.FORCED, None, "was never asked")
    assert report.run.exit_code == 1


def test_forcing_is_as_planned_only_where_the_ladders_first_rung_forces(tmp_path: Path) -> None:
    planned = run_shutdown(tmp_path / "a", [FakeGuest("g")], config="defaults: {stop: [destroy]}")
    assert (by_name(planned, "g").outcome, planned.run.exit_code) == (Outcome.FORCED, 0)
    second = FakeGuest("g", refuses=frozenset({"save"}))
    fallen = run_shutdown(tmp_path / "b", [second], config="defaults: {stop: [save, destroy]}")
    assert (by_name(fallen, "g").outcome, fallen.run.exit_code) == (Outcome.FORCED, 1)


def test_a_guest_that_somebody_else_destroys_is_not_our_doing(tmp_path: Path) -> None:
    guest = FakeGuest("g", takes=100)
    gone = at(3, lambda hypervisor, _run: hypervisor.stop(guest, Ended.DESTROYED))
    report = run_shutdown(tmp_path, [guest], meanwhile=gone)
    result = by_name(report, "g")
    assert (result.outcome, result.method, result.message) == (Outcome.FORCED, None, "destroyed by somebody else")
    assert [(one.method, one.result, one.message) for one in result.attempts[1:]] == [
        ("acpi", "timeout", "destroyed by somebody else")
    ]
    assert report.run.exit_code == 1


def test_a_transient_guest_that_was_destroyed_unseen_is_forced_and_not_stopped(tmp_path: Path) -> None:
    guest = FakeGuest("g", persistent=False, deaf_to=frozenset({"acpi"}))

    class Silent:
        @lastcall.hookimpl
        def on_guest_stuck(self) -> None:
            guest.ended = Ended.VANISHED

    config = "defaults: {stop: [{acpi: {timeout: 5s}}]}"
    report = run_shutdown(tmp_path, [guest], config=config, reason=Reason.POWER, plugins={"silent": Silent()})
    assert by_name(report, "g").outcome is Outcome.FORCED


def test_a_persistent_guest_that_libvirt_no_longer_knows_is_not_called_stopped(tmp_path: Path) -> None:
    guest = FakeGuest("g", takes=100)
    gone = at(3, lambda hypervisor, _run: hypervisor.stop(guest, Ended.VANISHED))
    report = run_shutdown(tmp_path, [guest], config="defaults: {stop: [{acpi: {timeout: 5s}}]}", meanwhile=gone)
    assert by_name(report, "g").outcome is not Outcome.STOPPED or by_name(report, "g").method == "acpi"


@pytest.mark.parametrize("reason", [Reason.POWEROFF, Reason.POWER])
def test_a_host_stop_drops_nobody_from_the_list_but_who_migrated_away(tmp_path: Path, reason: Reason) -> None:
    never = FakeGuest("never", takes=1000, hangs_in=frozenset({"destroy"}))
    away = FakeGuest("away", traits=GuestFacts(job=OtherJob.MIGRATION))
    config = "shutdown: {deadline: 60s, reserve: 20s, grace: 10s}"
    gone = at(5, lambda hypervisor, _run: hypervisor.stop(away, Ended.MIGRATED))
    report = run_shutdown(tmp_path, [never, away], config=config, reason=reason, meanwhile=gone)
    result = by_name(report, "never")
    assert (result.outcome, result.message.split(" was pulled ")[0]) == (Outcome.LEFT, "its plug")
    assert waiting_guests(tmp_path) == ["never"]


def test_who_goes_off_after_its_verdict_is_told_as_off_and_comes_back(tmp_path: Path) -> None:
    slow, other = FakeGuest("a", takes=310), FakeGuest("b", takes=100)
    config = "shutdown: {deadline: none, parallel: 1}\ndefaults: {timeout: 300s, stop: [acpi]}"
    report = run_shutdown(tmp_path, [slow, other], config=config)
    assert (by_name(report, "a").outcome, by_name(report, "a").method) == (Outcome.STOPPED, "acpi")
    assert waiting_guests(tmp_path) == ["a", "b"]
    restored = run_restore(tmp_path, [slow, other])
    assert {guest.outcome for guest in restored.guests} == {Outcome.STARTED}


def test_who_was_asked_by_hand_and_still_runs_is_found_present_by_a_restore(tmp_path: Path) -> None:
    guest = FakeGuest("deaf", deaf_to=frozenset({"acpi"}))
    run_shutdown(tmp_path, [guest], config="defaults: {stop: [{acpi: {timeout: 5s}}]}")
    restored = run_restore(tmp_path, [guest])
    assert by_name(restored, "deaf").outcome is Outcome.PRESENT
    assert waiting_guests(tmp_path) == []


def test_who_was_not_asked_by_hand_leaves_the_list(tmp_path: Path) -> None:
    class Refuses:
        @lastcall.hookimpl
        def on_guest_stop(self) -> None:
            raise lastcall.HookFailed("no", on_failure="skip_guest")

    run_shutdown(tmp_path, [FakeGuest("g")], plugins={"refuses": Refuses()})
    assert waiting_guests(tmp_path) == []


@pytest.mark.parametrize("deadline", [5, 8, 12, 20, 30])
def test_guests_get_a_short_deadline_but_for_a_moment_where_nobody_listens_to_its_end(
    tmp_path: Path, deadline: int
) -> None:
    guest = FakeGuest("deaf", deaf_to=frozenset({"acpi", "default"}))
    report = run_shutdown(tmp_path, [guest], config=f"shutdown: {{deadline: {deadline}s}}", reason=Reason.POWER)
    result = by_name(report, "deaf")
    assert result.outcome is Outcome.FORCED
    assert (guest.off_at or 0) >= deadline - max(deadline / 3, min(12.5, deadline / 2)) - 0.01
    assert report.run.duration <= deadline


def test_an_empty_restore_calls_the_hooks_of_its_beginning_and_end(tmp_path: Path) -> None:
    called: list[str] = []

    class Mounts:
        @lastcall.hookimpl
        def pre_restore(self) -> None:
            called.append("pre_restore")

        @lastcall.hookimpl
        def post_restore(self) -> None:
            called.append("post_restore")

    run_restore(tmp_path, [FakeGuest("g")], plugins={"mounts": Mounts()})
    assert called == ["pre_restore", "post_restore"]


def test_a_host_stop_that_joins_a_run_for_one_guest_widens_it_to_everybody(tmp_path: Path) -> None:
    named, other = FakeGuest("named", takes=20), FakeGuest("other", takes=2)
    joins = at(5, lambda _hypervisor, run: run.join(Reason.POWER, Deadline.after(0, 60, reserve=20, grace=10)))
    report = run_shutdown(tmp_path, [named, other], names=["named"], meanwhile=joins)
    assert {guest.outcome for guest in report.guests} == {Outcome.STOPPED}
    assert other.asked == [(5, "acpi")], "at once, and not when the first is off"
    assert waiting_guests(tmp_path) == ["named", "other"]


def test_the_plug_of_a_guest_that_others_wait_for_gets_the_time_that_libvirt_may_need(tmp_path: Path) -> None:
    app = FakeGuest("app", deaf_to=frozenset({"acpi", "default"}), hangs_in=frozenset({"destroy"}))
    config = (
        "shutdown: {deadline: 200s, reserve: 60s}\n"
        "defaults: {timeout: 5s, stop: [acpi]}\nguests: [{match: app, depends_on: db}]"
    )
    off = at(16, lambda hypervisor, _run: hypervisor.stop(app, Ended.DESTROYED))
    report = run_shutdown(tmp_path, [app, FakeGuest("db")], config=config, meanwhile=off, reason=Reason.POWER)
    assert (by_name(report, "app").outcome, by_name(report, "app").method) == (Outcome.FORCED, "destroy")


def test_what_a_person_stopped_by_name_does_not_come_back_with_the_host(tmp_path: Path) -> None:
    by_hand, running = FakeGuest("by-hand"), FakeGuest("running")
    run_shutdown(tmp_path, [by_hand, running], names=["by-hand"])
    run_shutdown(tmp_path, [by_hand, running], reason=Reason.POWEROFF)
    state = StateFile(tmp_path)
    state.load()
    assert {entry.name: entry.due for entry in state.entries.values()} == {"by-hand": False, "running": True}


@pytest.mark.parametrize("deadline", [16, 20, 24])
def test_the_plug_of_a_guest_whose_request_has_not_returned_is_pulled_early_enough(
    tmp_path: Path, deadline: int
) -> None:
    hung, healthy = FakeGuest("hung", hangs_in=frozenset({"acpi"})), FakeGuest("healthy", takes=deadline / 2 - 1)
    config = f"shutdown: {{deadline: {deadline}s}}\ndefaults: {{stop: [acpi]}}"
    report = run_shutdown(tmp_path, [hung, healthy], config=config, reason=Reason.POWER)
    pulled = next(moment for moment, how in hung.asked if how == "destroy")
    assert 0 < pulled <= deadline - 12, "libvirt needs 12 s for a QEMU that hangs"
    assert by_name(report, "hung").asked == 0
    assert by_name(report, "healthy").outcome is Outcome.STOPPED, "the others' plugs are pulled at the usual moment"


def test_a_run_by_hand_gives_up_nobody_early(tmp_path: Path) -> None:
    guest = FakeGuest("g", hangs_in=frozenset({"acpi"}))
    config = "shutdown: {deadline: 20s}\ndefaults: {stop: [acpi]}"
    gone = at(9, lambda hypervisor, _run: hypervisor.stop(guest, Ended.SHUTDOWN))
    report = run_shutdown(tmp_path, [guest], config=config, meanwhile=gone)
    assert (by_name(report, "g").outcome, by_name(report, "g").method) == (Outcome.STOPPED, "acpi")


def test_a_plug_does_not_wait_for_a_save_to_be_taken_back(tmp_path: Path) -> None:
    guest = FakeGuest("g", hangs_in=frozenset({"save", "abort"}), deaf_to=frozenset({"default"}))
    config = "shutdown: {deadline: 60s, reserve: 20s}\ndefaults: {stop: [save]}"
    report = run_shutdown(tmp_path, [guest], config=config, reason=Reason.POWER)
    assert (guest.off_at, by_name(report, "g").outcome) == (40, Outcome.FORCED)


def test_a_question_that_fails_for_a_reason_of_ours_is_asked_again_and_told_of(tmp_path: Path) -> None:
    guest = FakeGuest("g", takes=1000)

    def meanwhile(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        active, calls = hypervisor.active, list[str]()

        async def breaks_once(uri: str) -> list[Guest]:
            calls.append(uri)
            if len(calls) == 2:  # the first is the list of guests
                raise RuntimeError("a mistake of ours")
            return await active(uri)

        def go_off_unseen() -> None:
            guest.state, guest.ended = GuestState.OFF, Ended.SHUTDOWN

        hypervisor.active = breaks_once
        hypervisor.loop.call_later(3, go_off_unseen)

    report = run_shutdown(tmp_path, [guest], meanwhile=meanwhile, reason=Reason.POWER)
    assert (by_name(report, "g").outcome, report.run.duration) == (Outcome.STOPPED, 10)
    assert [problem.what for problem in report.problems] == ["internal"]


def test_who_is_refused_for_long_is_asked_on_until_the_last_resort_and_has_its_time_then(tmp_path: Path) -> None:
    config = """
shutdown: {deadline: 300s, reserve: 20s, grace: 10s}
defaults: {stop: [{acpi: {timeout: 30s}}], timeout: 40s}
guests: [{match: held, depends_on: [waits]}, {match: deaf, depends_on: [waits]}]
"""
    held = FakeGuest("held", busy_until=200, takes=30)
    deaf = FakeGuest("deaf", busy_until=200, deaf_to=frozenset({"default"}))
    waits = FakeGuest("waits")
    report = run_shutdown(tmp_path, [held, deaf, waits], config=config, reason=Reason.POWER)
    assert by_name(report, "held").outcome is Outcome.STOPPED
    assert held.off_at is not None
    assert held.off_at < 235
    forced = by_name(report, "deaf")
    assert (forced.outcome, forced.asked is not None) == (Outcome.FORCED, True)
    assert forced.asked is not None
    assert deaf.off_at == pytest.approx(forced.asked + 40), "its time counts from when it was asked"


def test_one_that_is_paused_while_it_is_asked_is_saved_and_not_destroyed(tmp_path: Path) -> None:
    requests = frozenset({"acpi", "default"})  # which libvirt refuses, as for a guest that is paused
    guest = FakeGuest("g", deaf_to=requests, breaks=requests)
    config = "defaults: {stop: [{acpi: {timeout: 30s}}]}"
    pause = at(5, lambda _hypervisor, _run: setattr(guest, "state", GuestState.PAUSED))
    report = run_shutdown(tmp_path, [guest], config=config, reason=Reason.POWER, meanwhile=pause)
    assert by_name(report, "g").outcome is Outcome.SAVED


def test_a_plug_that_was_refused_did_not_end_a_guest(tmp_path: Path) -> None:
    plugs = frozenset({"destroy", "graceful"})
    guest = FakeGuest("g", deaf_to=plugs, breaks=plugs)
    others = at(1, lambda hypervisor, _run: hypervisor.stop(guest, Ended.DESTROYED))
    report = run_shutdown(
        tmp_path, [guest], config="defaults: {stop: [destroy]}", reason=Reason.POWER, meanwhile=others
    )
    result = by_name(report, "g")
    assert (result.outcome, result.method, result.message) == (Outcome.FORCED, None, "destroyed by somebody else")
    assert report.run.exit_code == 1


def run_that_goes_off(
    folder: Path, guest: FakeGuest, ended: Ended, rung: str, when: Callable[[GuestAsked], bool]
) -> Report:
    """A host stop in which the guest is off in the very moment in which it is asked."""
    found: list[FakeHypervisor] = []

    def goes(record: Record) -> None:
        if isinstance(record, GuestAsked) and when(record):
            found[0].stop(guest, ended)

    return run_shutdown(
        folder,
        [guest],
        config=f"defaults: {{stop: [{rung}]}}",
        reason=Reason.POWER,
        sink=goes,
        meanwhile=lambda hypervisor, _run: found.append(hypervisor),
    )


def test_a_plug_refused_in_the_moment_in_which_its_guest_is_found_off_did_not_end_it(tmp_path: Path) -> None:
    plugs = frozenset({"destroy", "graceful"})
    guest = FakeGuest("g", persistent=False, deaf_to=plugs | {"acpi"}, breaks=plugs)
    rung = "{acpi: {timeout: 5s}}"
    report = run_that_goes_off(tmp_path, guest, Ended.VANISHED, rung, lambda asked: asked.method == "destroy")
    assert (by_name(report, "g").outcome, by_name(report, "g").method) == (Outcome.STOPPED, "acpi")


def test_one_whose_request_returns_when_it_is_off_was_asked_whatever_became_of_an_earlier_one(tmp_path: Path) -> None:
    guest = FakeGuest("g", busy_until=3)
    report = run_that_goes_off(tmp_path, guest, Ended.SHUTDOWN, "acpi", lambda asked: asked.at >= 3)
    result = by_name(report, "g")
    assert (result.outcome, result.method, result.asked) == (Outcome.STOPPED, "acpi", 3)


def test_one_that_somebody_starts_anew_while_it_is_waited_for_is_asked_anew(tmp_path: Path) -> None:
    guest = FakeGuest("g", takes=200)

    def start_anew(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        hypervisor.stop(guest, Ended.SHUTDOWN)
        hypervisor.begin(guest)
        guest.takes = 2

    config = f"{SHORT}defaults: {{stop: [{{acpi: {{resend: 0}}}}]}}"
    report = run_shutdown(tmp_path, [guest], config=config, reason=Reason.POWER, meanwhile=at(30, start_anew))
    assert hows(guest) == ["acpi", "acpi"]
    assert 30 < guest.asked[1][0] < 40
    assert by_name(report, "g").outcome is Outcome.STOPPED


def test_one_started_anew_a_moment_before_the_last_resort_is_asked_before_its_plug_is_pulled(tmp_path: Path) -> None:
    guest = FakeGuest("g", deaf_to=frozenset({"acpi"}))

    def start_anew(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        hypervisor.stop(guest, Ended.SHUTDOWN)
        hypervisor.begin(guest)
        guest.deaf_to, guest.takes = frozenset(), 2

    config = f"{SHORT}defaults: {{stop: [{{acpi: {{resend: 0}}}}]}}"
    report = run_shutdown(tmp_path, [guest], config=config, reason=Reason.POWER, meanwhile=at(98, start_anew))
    assert hows(guest) == ["acpi", "acpi"]
    assert by_name(report, "g").outcome is Outcome.STOPPED


@pytest.mark.parametrize("back_after", [20, 105])
@pytest.mark.parametrize("last_resort", ["[destroy]", "[save, destroy]", "[{destroy: {graceful: true}}]"])
def test_one_started_anew_while_nothing_is_heard_of_it_is_asked_before_its_plug_is_pulled(
    tmp_path: Path, back_after: float, last_resort: str
) -> None:
    guest = FakeGuest("g", takes=1, refuses=frozenset({"save"}))

    def lose(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        hypervisor.lose(guest.uri, back_after=back_after)
        hypervisor.loop.call_later(5, start_anew, hypervisor)

    def start_anew(hypervisor: FakeHypervisor) -> None:
        hypervisor.begin(guest)
        guest.takes = 2

    config = f"{SHORT}defaults: {{stop: [{{acpi: {{resend: 0, timeout: 10s}}}}], last_resort: {last_resort}}}"
    report = run_shutdown(tmp_path, [guest], config=config, reason=Reason.POWER, meanwhile=at(0.5, lose))
    assert [how for how in hows(guest) if how != "save"] == ["acpi", "acpi"]
    assert by_name(report, "g").outcome is Outcome.STOPPED


def test_what_a_guest_did_when_it_was_listed_is_not_believed_after_the_others_were_looked_at(tmp_path: Path) -> None:
    guest, stuck = FakeGuest("g"), FakeGuest("stuck", hangs_in=frozenset({"look"}))

    def go_off(_hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        guest.state, guest.ended = GuestState.OFF, Ended.SHUTDOWN

    report = run_shutdown(tmp_path, [guest, stuck], reason=Reason.POWER, meanwhile=at(2, go_off))
    assert (guest.asked, by_name(report, "g").asked) == ([], None)
    assert by_name(report, "g").outcome is Outcome.STOPPED


@pytest.mark.parametrize("again", ["a", "far"], ids=["with others", "alone on its connection"])
def test_a_guest_whose_start_was_not_told_of_is_stopped_once_more(tmp_path: Path, again: str) -> None:
    guests = [FakeGuest("a"), FakeGuest("long", takes=60), FakeGuest("far", uri="fake:///other")]
    guest = next(one for one in guests if one.name == again)

    def start(_hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        guest.state, guest.ended = GuestState.RUNNING, None

    report = run_shutdown(tmp_path, guests, config=SHORT, reason=Reason.POWER, meanwhile=at(20, start))
    assert hows(guest) == ["acpi", "acpi"]
    assert guest.asked[1][0] < 40, "long before all others are through"
    assert by_name(report, again).outcome is Outcome.STOPPED


def test_a_guest_started_unseen_after_a_run_by_hand_was_interrupted_is_not_called_stopped(tmp_path: Path) -> None:
    guest, long = FakeGuest("g"), FakeGuest("long", takes=60)

    def start(_hypervisor: FakeHypervisor, run: Shutdown) -> None:
        guest.state, guest.ended = GuestState.RUNNING, None
        run.interrupt()

    report = run_shutdown(tmp_path, [guest, long], meanwhile=at(20, start))
    assert (by_name(report, "g").outcome, by_name(report, "long").outcome) == (Outcome.LEFT, Outcome.STOPPED)


@pytest.mark.parametrize("told", [True, False], ids=["an event tells of it", "nothing tells of it"])
def test_one_that_a_run_told_to_end_has_skipped_and_that_went_off_since_is_told_as_off(
    tmp_path: Path, told: bool
) -> None:
    first, skipped, long = FakeGuest("first", takes=5), FakeGuest("skipped"), FakeGuest("long", takes=60)

    def go_off(hypervisor: FakeHypervisor) -> None:
        if told:
            hypervisor.stop(skipped, Ended.SAVED)
        else:
            skipped.state, skipped.ended = GuestState.OFF, Ended.SAVED

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(1, run.interrupt)
        hypervisor.loop.call_later(20, go_off, hypervisor)

    config = "guests: [{match: first, depends_on: [skipped]}]"
    report = run_shutdown(tmp_path, [first, skipped, long], config=config, meanwhile=meanwhile)
    result = by_name(report, "skipped")
    assert (result.outcome, result.message, result.asked) == (Outcome.SAVED, "saved by somebody else", None)


def test_one_that_went_off_and_was_started_by_others_and_never_asked_is_on_no_list_of_a_run_by_hand(
    tmp_path: Path,
) -> None:
    first, theirs, long = FakeGuest("first", takes=5), FakeGuest("theirs"), FakeGuest("long", takes=60)

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(1, run.interrupt)
        hypervisor.loop.call_later(2, hypervisor.stop, theirs, Ended.SAVED)
        hypervisor.loop.call_later(20, hypervisor.begin, theirs)

    config = "guests: [{match: first, depends_on: [theirs]}]"
    report = run_shutdown(tmp_path, [first, theirs, long], config=config, meanwhile=meanwhile)
    assert (by_name(report, "theirs").outcome, by_name(report, "theirs").asked) == (Outcome.LEFT, None)
    assert waiting_guests(tmp_path) == ["first", "long"]


def test_one_of_which_a_run_by_hand_knows_nothing_and_that_it_never_asked_is_on_no_list(tmp_path: Path) -> None:
    first, lost = FakeGuest("first", takes=5), FakeGuest("lost", uri="fake:///other")
    config = "guests: [{match: first, depends_on: [lost]}]"
    gone = at(2, lambda hypervisor, _run: hypervisor.lose(lost.uri))
    report = run_shutdown(tmp_path, [first, lost], config=config, meanwhile=gone)
    assert (by_name(report, "lost").outcome, lost.asked) == (Outcome.UNKNOWN, [])
    assert waiting_guests(tmp_path) == ["first"]


def test_who_is_out_of_reach_when_the_last_resort_begins_is_asked_before_its_plug_is_pulled(tmp_path: Path) -> None:
    away, others = FakeGuest("away", takes=2, busy_until=11), FakeGuest("others", uri="fake:///other", takes=200)
    others.deaf_to = frozenset({"acpi"})
    lost = at(10, lambda hypervisor, _run: hypervisor.lose(away.uri, back_after=98))
    report = run_shutdown(tmp_path, [away, others], config=SHORT, reason=Reason.POWER, meanwhile=lost)
    assert "destroy" not in hows(away)
    assert by_name(report, "away").outcome is Outcome.STOPPED


def test_one_that_is_woken_before_it_is_asked_late_has_its_time_from_then_on(tmp_path: Path) -> None:
    first = FakeGuest("first", deaf_to=frozenset({"acpi", "default"}))
    asleep = FakeGuest("sleeper", state=GuestState.SUSPENDED, takes=5)
    config = "shutdown: {deadline: 60s, reserve: 20s, grace: 0s, parallel: 1}\ndefaults: {stop: [acpi]}"

    def slow_to_wake(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        asleep.busy_until = 43

    report = run_shutdown(tmp_path, [first, asleep], config=config, reason=Reason.POWER, meanwhile=at(30, slow_to_wake))
    assert hows(asleep)[-1] == "acpi"
    assert by_name(report, "sleeper").outcome is Outcome.STOPPED


def test_a_paused_guest_that_a_host_stop_leaves_comes_back_with_the_host(tmp_path: Path) -> None:
    config = "defaults: {paused: leave}"
    for reason, waiting in ((Reason.MANUAL, []), (Reason.POWER, ["p"])):
        guest = FakeGuest("p", state=GuestState.PAUSED)
        report = run_shutdown(tmp_path, [guest], config=config, reason=reason)
        assert by_name(report, "p").outcome is Outcome.SKIPPED
        assert waiting_guests(tmp_path) == waiting


@pytest.mark.parametrize(("reason", "waiting"), [(Reason.MANUAL, ["web"]), (Reason.POWER, ["p", "web"])])
def test_one_that_somebody_pauses_before_its_turn_is_left_as_one_that_was_paused_at_planning(
    tmp_path: Path, reason: Reason, waiting: list[str]
) -> None:
    guest, web = FakeGuest("p", refuses=frozenset({"acpi", "default"})), FakeGuest("web", takes=20)
    config = "shutdown: {deadline: 100s}\ndefaults: {paused: leave}\nguests: [{match: web, depends_on: [p]}]"

    def paused(_hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        guest.state = GuestState.PAUSED

    report = run_shutdown(tmp_path, [guest, web], config=config, reason=reason, force=True, meanwhile=at(5, paused))
    assert (by_name(report, "p").outcome, guest.asked, guest.state) == (Outcome.SKIPPED, [], GuestState.PAUSED)
    assert waiting_guests(tmp_path) == waiting


def test_one_that_somebody_pauses_once_it_was_asked_is_seen_off(tmp_path: Path) -> None:
    guest = FakeGuest("p", takes=20)
    config = "shutdown: {deadline: 100s}\ndefaults: {paused: leave, stop: [{acpi: {timeout: 10s}}, default]}"

    def paused(_hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        guest.state, guest.deaf_to = GuestState.PAUSED, frozenset({"acpi", "default"})

    report = run_shutdown(tmp_path, [guest], config=config, reason=Reason.POWER, meanwhile=at(5, paused))
    assert by_name(report, "p").outcome is Outcome.FORCED


@pytest.mark.parametrize(("method", "outcome"), [("destroy", Outcome.FORCED), ("save", Outcome.SAVED)])
def test_one_that_has_to_be_off_when_libvirt_answers_is_asked_for_soon_where_no_event_says_so(
    tmp_path: Path, method: str, outcome: Outcome
) -> None:
    guest = FakeGuest("g", takes=0.2, quiet=True)
    report = run_shutdown(tmp_path, [guest], config=f"defaults: {{stop: [{method}]}}", reason=Reason.POWER)
    result = by_name(report, "g")
    assert (result.outcome, result.method) == (outcome, method)
    assert result.attempts[0].duration < 2, "not left to the look that finds whom events have passed over"


def test_who_has_heard_a_run_by_hand_waits_for_a_restore_where_an_event_of_its_start_comes_late(tmp_path: Path) -> None:
    """It may tell of the very start that was asked, and not of another one that has heard nothing."""
    guest = FakeGuest("g", hangs_in=frozenset({"save"}))
    tell = at(3, lambda hypervisor, _: hypervisor.tell(GuestStarted(guest.uri, guest.uuid)))
    config = "shutdown: {deadline: 20s}\ndefaults: {stop: [save]}"
    report = run_shutdown(tmp_path, [guest], config=config, meanwhile=tell)
    assert (by_name(report, "g").outcome, by_name(report, "g").asked) == (Outcome.LEFT, 0.0)
    assert waiting_guests(tmp_path) == ["g"]


def test_a_plug_that_its_ladder_has_pulled_is_waited_for_as_long_as_there_is_time(tmp_path: Path) -> None:
    """Reported at the last resort, which it has none of, it was left running, and off ten seconds later."""
    guest = FakeGuest("g", hangs_in=frozenset({"destroy"}))
    config = "shutdown: {deadline: 30s}\ndefaults: {stop: [{destroy: {timeout: 5s}}], last_resort: leave}"
    dies = at(25, lambda hypervisor, _: hypervisor.stop(guest, Ended.DESTROYED))
    report = run_shutdown(tmp_path, [guest], config=config, reason=Reason.POWER, meanwhile=dies)
    assert by_name(report, "g").outcome is Outcome.FORCED


def test_a_guest_that_is_started_anew_under_a_request_that_does_not_return_lets_the_run_go_on(tmp_path: Path) -> None:
    guest = FakeGuest("g", hangs_in=frozenset({"save"}))
    config = f"{SHORT}defaults: {{stop: [{{save: {{timeout: 40s}}}}, acpi]}}"
    meanwhile = at(3, lambda hypervisor, _: hypervisor.begin(guest))
    report = run_shutdown(tmp_path, [guest], config=config, reason=Reason.POWER, meanwhile=meanwhile)
    assert guest.asked == [(0, "save"), (40, "abort"), (40, "acpi")]
    assert by_name(report, "g").outcome is Outcome.STOPPED


@pytest.mark.parametrize(
    ("last_resort", "tried"), [("[destory]", ["destroy"]), ("[save, destory]", ["save", "destroy"]), ("leave", [])]
)
def test_a_last_resort_that_nobody_provides_is_no_reason_to_leave_a_guest_to_the_power_cut(
    tmp_path: Path, last_resort: str, tried: list[str]
) -> None:
    guest = FakeGuest("deaf", deaf_to=frozenset({"acpi", "shutdown", "default"}), refuses=frozenset({"save"}))
    config = f"{SHORT}defaults: {{stop: [acpi], last_resort: {last_resort}}}"
    report = run_shutdown(tmp_path, [guest], config=config, reason=Reason.POWER)
    methods = list(dict.fromkeys(one.method for one in by_name(report, "deaf").attempts if one.method != "acpi"))
    assert methods == tried
    assert by_name(report, "deaf").outcome is (Outcome.FORCED if tried else Outcome.LEFT)
    told = [one.message.rpartition("; ")[2] for one in report.problems if one.what == "ladder"]
    assert told == (["destroy takes its place"] if tried else [])
