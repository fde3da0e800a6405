"""Guests with which somebody else is busy when their turn comes: a backup, a dump, a snapshot."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from lastcall import Ended, Guest, GuestState, Outcome, Reason, Report, hookimpl
from lastcall.hypervisor.ports import PLAIN, Condition, GuestFacts, GuestResumed, OtherJob
from lastcall.records.records import GuestHeld, Record
from lastcall.runs.shutdown import Shutdown
from lastcall.testing.memory import FakeGuest, FakeHypervisor, run_restore, run_shutdown
from lastcall.timing.deadline import Deadline
from support import by_name, waiting_guests

BACKUP = GuestFacts(job=OtherJob.BACKUP)
TIMES = "shutdown: {deadline: 100s, reserve: 20s, grace: 20s}\n"
"""Everybody is asked by 60 s, last resort from 80 s."""
Meanwhile = Callable[[FakeHypervisor, Shutdown], None]


def over_at(seconds: float, guest: FakeGuest) -> Meanwhile:
    def meanwhile(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        hypervisor.loop.call_later(seconds, setattr, guest, "traits", PLAIN)

    return meanwhile


def told(report: Report) -> list[tuple[str, str, str]]:
    return [(one.what, one.message, one.severity) for one in report.problems]


def test_a_backup_is_waited_for_and_the_guest_asked_when_it_is_over(tmp_path: Path) -> None:
    guest, seen = FakeGuest("db", traits=BACKUP), list[Record]()
    report = run_shutdown(
        tmp_path, [guest], config=TIMES, reason=Reason.POWER, meanwhile=over_at(39.5, guest), sink=seen.append
    )
    assert guest.asked == [(40, "acpi")]
    assert told(report) == [("job", "waited 40s for a backup", "warning")]
    assert [(one.at, one.by) for one in seen if isinstance(one, GuestHeld)] == [(0, "a backup")]
    assert (by_name(report, "db").outcome, report.run.exit_code) == (Outcome.STOPPED, 0)


@pytest.mark.parametrize("job", [OtherJob.BACKUP, OtherJob.DUMP, OtherJob.SNAPSHOT])
def test_a_job_without_end_is_waited_for_until_the_latest_moment_for_asking(tmp_path: Path, job: OtherJob) -> None:
    guest = FakeGuest("db", traits=GuestFacts(job=job))
    report = run_shutdown(tmp_path, [guest], config=TIMES, reason=Reason.POWER)
    assert guest.asked == [(60, "acpi")], "and not aborted"
    assert told(report) == [("job", f"waited 60s for {job.value}, which goes on", "warning")]
    assert (by_name(report, "db").outcome, report.run.exit_code) == (Outcome.STOPPED, 0)


def test_a_request_that_waits_for_a_job_is_no_sign_of_a_qemu_that_hangs(tmp_path: Path) -> None:
    guest = FakeGuest("db", traits=GuestFacts(job=OtherJob.SAVE), hangs_in=frozenset({"acpi"}))
    config = "shutdown: {deadline: 60s, reserve: 2s, grace: 20s}"
    run_shutdown(tmp_path, [guest], config=config, reason=Reason.POWER)
    assert [how for _, how in guest.asked] == ["acpi", "destroy"]
    assert guest.off_at == 58, "at the last resort, and not as early as the plug of a QEMU that hangs"


@pytest.mark.parametrize("job", [OtherJob.DUMP, OtherJob.MIGRATION, OtherJob.SAVE, OtherJob.SNAPSHOT])
def test_a_job_that_begins_just_after_a_guest_was_looked_at_is_no_such_sign_either(
    tmp_path: Path, job: OtherJob
) -> None:
    guest = FakeGuest("db", hangs_in=frozenset({"acpi"}))

    def begins(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        hypervisor.loop.call_later(0.1, setattr, guest, "traits", GuestFacts(job=job))

    config = "shutdown: {deadline: 60s, reserve: 2s, grace: 20s}"
    run_shutdown(tmp_path, [guest], config=config, reason=Reason.POWER, meanwhile=begins)
    assert guest.off_at == 58, "at the last resort"


def test_a_qemu_that_hangs_is_still_told_by_its_request(tmp_path: Path) -> None:
    guest = FakeGuest("db", hangs_in=frozenset({"acpi"}))
    run_shutdown(tmp_path, [guest], config="shutdown: {deadline: 60s, reserve: 2s, grace: 20s}", reason=Reason.POWER)
    assert guest.off_at is not None
    assert guest.off_at < 58, "libvirt needs some 12 s to end it"


@pytest.mark.parametrize("job", [OtherJob.BACKUP, OtherJob.DUMP, OtherJob.SNAPSHOT])
def test_a_job_is_aborted_then_where_the_setting_says_so(tmp_path: Path, job: OtherJob) -> None:
    guest = FakeGuest("db", traits=GuestFacts(job=job))
    config = f"{TIMES}defaults: {{jobs: abort, stop: [save]}}"
    report = run_shutdown(tmp_path, [guest], config=config, reason=Reason.POWER)
    assert guest.asked == [(60, "abort"), (60, "save")]
    assert told(report) == [("job", f"waited 60s for {job.value}, and ended it", "warning")]
    assert (by_name(report, "db").outcome, report.run.exit_code) == (Outcome.SAVED, 0)


@pytest.mark.parametrize("job", [OtherJob.SAVE, OtherJob.START])
def test_what_only_looks_like_a_hindrance_is_never_aborted(tmp_path: Path, job: OtherJob) -> None:
    guest = FakeGuest("g", traits=GuestFacts(job=job))
    run_shutdown(tmp_path, [guest], config=f"{TIMES}defaults: {{jobs: abort}}", reason=Reason.POWER)
    assert guest.asked == [(60, "acpi")]


def test_by_hand_a_guest_waits_no_longer_than_its_own_time_for_a_backup(tmp_path: Path) -> None:
    guest = FakeGuest("db", traits=BACKUP)
    run_shutdown(tmp_path, [guest], config="defaults: {timeout: 30s}")
    assert guest.asked == [(30, "acpi")]
    guest = FakeGuest("db", traits=BACKUP)
    run_shutdown(tmp_path, [guest], config="shutdown: {deadline: none}\ndefaults: {timeout: 30s}", force=True)
    assert guest.asked == [(30, "acpi")], "without a deadline there is no latest moment"
    guest = FakeGuest("db", traits=BACKUP)
    run_shutdown(tmp_path, [guest], config=f"{TIMES}defaults: {{timeout: 30s}}", force=True)
    assert guest.asked == [(60, "acpi")], "with a last resort it is that of a host stop"


def test_a_guest_that_others_need_off_waits_no_longer_than_its_own_time_either(tmp_path: Path) -> None:
    db, storage = FakeGuest("db", traits=BACKUP), FakeGuest("storage")
    config = f"{TIMES}guests: [{{match: db, depends_on: [storage], timeout: 25s}}]"
    report = run_shutdown(tmp_path, [db, storage], config=config, reason=Reason.POWER)
    assert (db.asked, storage.asked) == ([(25, "acpi")], [(26, "acpi")])
    assert not any(guest.out_of_order for guest in report.guests)


def test_a_save_that_a_backup_would_refuse_is_passed_over_for_what_the_guest_hears(tmp_path: Path) -> None:
    ladder, only = FakeGuest("ladder", traits=BACKUP), FakeGuest("only", traits=BACKUP)
    config = f"{TIMES}guests: [{{match: ladder, stop: [save, acpi]}}, {{match: only, stop: [save]}}]"
    report = run_shutdown(tmp_path, [ladder, only], config=config, reason=Reason.POWER)
    assert ladder.asked == [(60, "acpi")]
    assert only.asked == [(60, "default")], "libvirt's own request"
    assert {guest.outcome for guest in report.guests} == {Outcome.STOPPED}


def test_no_save_is_tried_beside_a_backup_either_when_the_guest_is_looked_at_once_more(tmp_path: Path) -> None:
    guest = FakeGuest("g", traits=BACKUP, busy_until=70)

    def meanwhile(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        hypervisor.loop.call_later(62, setattr, guest, "state", GuestState.PAUSED)

    config = f"{TIMES}defaults: {{stop: [{{acpi: {{timeout: 3s, resend: 0}}}}]}}"
    report = run_shutdown(tmp_path, [guest], config=config, reason=Reason.POWER, meanwhile=meanwhile)
    assert {how for _, how in guest.asked} == {"acpi", "resume"}, "and not saved with its pause"
    assert by_name(report, "g").outcome is Outcome.STOPPED


def test_a_backup_that_cannot_be_aborted_is_told_of_and_the_guest_asked_in_time(tmp_path: Path) -> None:
    refused = FakeGuest("refused", traits=BACKUP, refuses=frozenset({"abort"}))
    hangs = FakeGuest("hangs", traits=BACKUP, hangs_in=frozenset({"abort"}))
    config = f"{TIMES}defaults: {{jobs: abort, stop: [save, acpi]}}"
    report = run_shutdown(tmp_path, [refused, hangs], config=config, reason=Reason.POWER)
    assert refused.asked == [(60, "abort"), (65, "acpi")]
    assert hangs.asked == [(60, "abort"), (65, "acpi")]
    assert {(one.where, one.message) for one in report.problems} == {
        ("refused", "waited 65s for a backup, which could not be ended: abort is refused"),
        ("hangs", "waited 65s for a backup, which could not be ended: it has not ended in its time"),
    }
    assert {guest.outcome for guest in report.guests} == {Outcome.STOPPED}


def test_a_backup_that_begins_before_a_guests_turn_is_waited_for_as_well(tmp_path: Path) -> None:
    web, db = FakeGuest("web", takes=10), FakeGuest("db")

    def meanwhile(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        hypervisor.loop.call_later(5, setattr, db, "traits", BACKUP)
        hypervisor.loop.call_later(32.5, setattr, db, "traits", PLAIN)

    config = f"{TIMES}guests: [{{match: web, depends_on: [db]}}]"
    run_shutdown(tmp_path, [web, db], config=config, reason=Reason.POWER, meanwhile=meanwhile)
    assert db.asked == [(33, "acpi")]


class Preparing:
    """A plugin that prepares each guest for its stop."""

    @hookimpl
    def on_guest_stop(self, guest: Guest) -> None: ...


PREPARING = {"prepare": Preparing()}


def fired(report: Report) -> list[int]:
    """When the guest was prepared."""
    return [round(one.started) for one in by_name(report, "db").hooks if one.hook == "on_guest_stop"]


def test_hooks_of_a_guest_fire_when_its_backup_is_over(tmp_path: Path) -> None:
    guest = FakeGuest("db", traits=BACKUP)
    report = run_shutdown(
        tmp_path,
        [guest],
        config=f"{TIMES}hooks: {{timeout: 10s}}",
        reason=Reason.POWER,
        meanwhile=over_at(39.5, guest),
        plugins=PREPARING,
    )
    assert (fired(report), guest.asked) == ([40], [(40, "acpi")])
    assert told(report) == [("job", "waited 40s for a backup", "warning")]


@pytest.mark.parametrize(("jobs", "asked"), [("wait", ["acpi"]), ("abort", ["abort", "acpi"])])
def test_hooks_of_a_guest_whose_backup_has_no_end_have_their_time_before_it_is_asked(
    tmp_path: Path, jobs: str, asked: list[str]
) -> None:
    guest, seen = FakeGuest("db", traits=BACKUP), list[Record]()
    config = f"{TIMES}hooks: {{timeout: 10s}}\ndefaults: {{jobs: {jobs}}}"
    report = run_shutdown(tmp_path, [guest], config=config, reason=Reason.POWER, plugins=PREPARING, sink=seen.append)
    assert (fired(report), guest.asked) == ([50], [(60, how) for how in asked]), "as late as without hooks"
    assert [one.message.split(",")[0] for one in report.problems] == ["waited 60s for a backup"]
    assert len([one for one in seen if isinstance(one, GuestHeld)]) == 1


def test_hooks_whose_boxes_are_longer_than_the_time_leave_half_of_it_to_the_backup(tmp_path: Path) -> None:
    guest = FakeGuest("db", traits=BACKUP)
    config = f"{TIMES}hooks: {{timeout: 5min}}"
    report = run_shutdown(tmp_path, [guest], config=config, reason=Reason.POWER, plugins=PREPARING)
    assert (fired(report), guest.asked) == ([30], [(60, "acpi")])


def test_by_hand_a_guest_waits_its_own_time_for_a_backup_once_and_not_again_after_its_hooks(tmp_path: Path) -> None:
    guest = FakeGuest("db", traits=BACKUP)
    report = run_shutdown(tmp_path, [guest], config="defaults: {timeout: 30s}", plugins=PREPARING)
    assert (fired(report), guest.asked) == ([30], [(30, "acpi")])


def test_a_guest_that_a_dump_had_paused_is_asked_as_the_running_guest_that_it_is_again(tmp_path: Path) -> None:
    guest = FakeGuest("g", state=GuestState.PAUSED, traits=GuestFacts(job=OtherJob.DUMP))

    def over(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        def go_on() -> None:
            guest.state, guest.traits = GuestState.RUNNING, PLAIN

        hypervisor.loop.call_later(0.5, go_on)

    report = run_shutdown(tmp_path, [guest], config="defaults: {paused: leave}", meanwhile=over)
    assert guest.asked == [(1, "acpi")]
    assert by_name(report, "g").outcome is Outcome.STOPPED


def test_the_last_resort_ends_a_backup_that_keeps_memory_from_being_saved(tmp_path: Path) -> None:
    guest = FakeGuest("g", traits=BACKUP, deaf_to=frozenset({"acpi"}))
    config = f"{TIMES}defaults: {{last_resort: [save, destroy], stop: [{{acpi: {{resend: 0}}}}]}}"
    report = run_shutdown(tmp_path, [guest], config=config, reason=Reason.POWER)
    assert guest.asked == [(60, "acpi"), (80, "abort"), (80, "save")]
    assert by_name(report, "g").outcome is Outcome.SAVED
    plain = dataclasses.replace(guest, asked=[], state=GuestState.RUNNING, ended=None, traits=BACKUP)
    run_shutdown(tmp_path, [plain], config=f"{TIMES}defaults: {{stop: [{{acpi: {{resend: 0}}}}]}}", reason=Reason.POWER)
    assert plain.asked == [(60, "acpi"), (80, "destroy")], "a plug needs no job"


def test_a_guest_that_hears_nothing_is_saved_before_the_host_takes_its_backup_and_its_memory(tmp_path: Path) -> None:
    def full() -> FakeGuest:
        traits = GuestFacts(condition=Condition.IO_ERROR, job=OtherJob.BACKUP)
        return FakeGuest("full", state=GuestState.PAUSED, traits=traits)

    stopped, by_hand = full(), full()
    run_shutdown(tmp_path, [stopped], config=TIMES, reason=Reason.POWER)
    assert stopped.asked == [(60, "abort"), (60, "save")]
    run_shutdown(tmp_path, [by_hand], config=TIMES)
    assert "abort" not in [how for _, how in by_hand.asked], "by hand the backup may go on"


def test_a_guest_that_goes_off_while_its_job_is_waited_for_is_told_by_its_outcome(tmp_path: Path) -> None:
    guest = FakeGuest("g", traits=BACKUP)

    def meanwhile(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        hypervisor.loop.call_later(7, hypervisor.stop, guest, Ended.SHUTDOWN)

    report = run_shutdown(tmp_path, [guest], config=TIMES, reason=Reason.POWER, meanwhile=meanwhile)
    assert (guest.asked, told(report)) == ([], [])
    assert by_name(report, "g").outcome is Outcome.STOPPED


def test_an_interrupted_run_by_hand_waits_for_no_job_any_more(tmp_path: Path) -> None:
    guest = FakeGuest("g", traits=BACKUP)

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(5.5, run.interrupt)

    report = run_shutdown(tmp_path, [guest], meanwhile=meanwhile)
    assert guest.asked == []
    assert (by_name(report, "g").outcome, report.run.duration) == (Outcome.SKIPPED, 6)


def test_a_host_stop_that_joins_with_less_time_ends_the_waiting(tmp_path: Path) -> None:
    guest = FakeGuest("g", traits=BACKUP)

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        deadline = Deadline.after(0, 40, reserve=10, grace=10)
        hypervisor.loop.call_later(3, run.join, Reason.POWER, deadline)

    run_shutdown(tmp_path, [guest], config=TIMES, meanwhile=meanwhile)
    assert guest.asked == [(20, "acpi")]
    assert waiting_guests(tmp_path) == ["g"]


def test_what_is_not_known_is_not_waited_for(tmp_path: Path) -> None:
    guest = FakeGuest("g", traits=BACKUP, refuses=frozenset({"look"}))
    run_shutdown(tmp_path, [guest], config=TIMES, reason=Reason.POWER)
    assert guest.asked == [(0.5, "acpi")], "once a second look has failed, too"


@pytest.mark.parametrize("job", [OtherJob.SAVE, OtherJob.MIGRATION])
def test_a_save_or_a_migration_has_until_the_latest_moment_whoever_waits_for_its_guest(
    tmp_path: Path, job: OtherJob
) -> None:
    guest, storage = FakeGuest("g", traits=GuestFacts(job=job)), FakeGuest("storage")
    config = f"{TIMES}guests: [{{match: g, depends_on: [storage], timeout: 5s}}]"
    run_shutdown(tmp_path, [guest, storage], config=config)
    assert guest.asked[-1] == (60, "acpi")


def test_a_guest_that_libvirt_keeps_for_its_backup_is_stopped_and_comes_back(tmp_path: Path) -> None:
    """As libvirt 11.10 does where the backup was begun with PRESERVE_SHUTDOWN_DOMAIN: reset, paused, and listed."""
    guest = FakeGuest("db", traits=BACKUP, backed_up=True)
    report = run_shutdown(tmp_path, [guest], config=TIMES, reason=Reason.POWER)
    result = by_name(report, "db")
    assert (result.outcome, result.method, result.message) == (Outcome.STOPPED, "acpi", "its backup goes on")
    assert (result.ended, report.run.exit_code, waiting_guests(tmp_path)) == (Ended.SHUTDOWN, 0, ["db"])
    again = by_name(run_restore(tmp_path, [guest]), "db")
    assert (again.outcome, guest.kept, waiting_guests(tmp_path)) == (Outcome.STARTED, False, [])


def test_a_guest_that_is_kept_for_its_backup_is_found_so_where_the_event_was_lost(tmp_path: Path) -> None:
    guest = FakeGuest("db", deaf_to=frozenset({"acpi"}))

    def meanwhile(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        def power_off_unheard() -> None:
            guest.state, guest.ended, guest.kept = GuestState.OFF, Ended.SHUTDOWN, True

        hypervisor.loop.call_later(7, power_off_unheard)

    report = run_shutdown(tmp_path, [guest], config=TIMES, meanwhile=meanwhile)
    assert (by_name(report, "db").outcome, by_name(report, "db").message) == (Outcome.STOPPED, "its backup goes on")


def test_who_is_kept_and_begins_anew_while_the_host_stops_is_stopped_once_more(tmp_path: Path) -> None:
    guest, slow = FakeGuest("db", backed_up=True), FakeGuest("slow", takes=30)

    def meanwhile(hypervisor: FakeHypervisor, _run: Shutdown) -> None:
        def resume() -> None:
            guest.state, guest.ended, guest.kept = GuestState.RUNNING, None, False
            hypervisor.tell(GuestResumed(guest.uri, guest.uuid))

        hypervisor.loop.call_later(10, resume)

    run_shutdown(tmp_path, [guest, slow], config=TIMES, reason=Reason.POWER, meanwhile=meanwhile)
    assert guest.asked == [(0, "acpi"), (10, "acpi")]


def test_a_guest_that_has_powered_off_is_stopped_though_libvirt_has_yet_to_say_so_when_its_plug_is_pulled(
    tmp_path: Path,
) -> None:
    """As libvirt 9.0 does beside a backup, for half a minute and more."""
    guest, deaf = FakeGuest("db", traits=BACKUP, lingers=True), FakeGuest("deaf", deaf_to=frozenset({"acpi"}))
    report = run_shutdown(tmp_path, [guest, deaf], config=TIMES, reason=Reason.POWER)
    assert [how for _, how in guest.asked if how != "acpi"] == ["destroy"]
    result = by_name(report, "db")
    assert (result.outcome, result.method, result.ended) == (Outcome.STOPPED, "acpi", Ended.SHUTDOWN)
    assert result.attempts[-1].message == "it powered off by itself"
    assert by_name(report, "deaf").outcome is Outcome.FORCED
