"""A migration by somebody else that comes, while the run goes on, to where the guest's memory is on two hosts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import lastcall
from lastcall import Ended, Guest, GuestState, Outcome, Reason, Report
from lastcall.hypervisor.ports import Condition, GuestFacts, OtherJob
from lastcall.runs.shutdown import Shutdown
from lastcall.testing.memory import FakeGuest, FakeHypervisor, run_shutdown
from support import by_name, waiting_guests

REFUSES = frozenset({"acpi", "default"})
CONFIG = """
shutdown: {deadline: 100s, reserve: 20s, grace: 10s}
defaults: {stop: [{acpi: {timeout: 10s}}]}
guests: [{match: web, depends_on: [db]}]
"""


def on_two_hosts(db: FakeGuest) -> None:
    """As libvirt shows it where it came from."""
    db.state, db.traits = GuestState.PAUSED, replace(db.traits, condition=Condition.ARRIVING, job=None)


def run_with(
    folder: Path, guests: list[FakeGuest], then: Callable[[FakeHypervisor], object], reason: Reason = Reason.POWEROFF
) -> Report:
    """A run in which `db` is on two hosts 5 s after its start."""

    def meanwhile(hypervisor: FakeHypervisor, _: Shutdown) -> None:
        hypervisor.loop.call_later(5, on_two_hosts, guests[0])
        then(hypervisor)

    return run_shutdown(folder, guests, config=CONFIG, reason=reason, meanwhile=meanwhile)


def migrating() -> FakeGuest:
    return FakeGuest("db", refuses=REFUSES, traits=GuestFacts(job=OtherJob.MIGRATION))


@pytest.mark.parametrize("reason", [Reason.POWEROFF, Reason.MANUAL])
def test_one_that_is_waited_for_is_neither_asked_nor_forced(tmp_path: Path, reason: Reason) -> None:
    db = migrating()
    report = run_with(tmp_path, [db], lambda _: None, reason)
    assert db.asked == []
    assert (by_name(report, "db").outcome, report.run.exit_code) == (Outcome.LEFT, 1)
    assert waiting_guests(tmp_path) == [], "it must not run on two hosts"


def test_one_that_waits_for_its_turn_is_neither_asked_nor_forced(tmp_path: Path) -> None:
    db, web = FakeGuest("db", refuses=REFUSES), FakeGuest("web", takes=20)
    report = run_with(tmp_path, [db, web], lambda _: None)
    assert db.asked == []
    assert by_name(report, "db").outcome is Outcome.LEFT
    assert waiting_guests(tmp_path) == ["web"]


def test_one_that_has_been_asked_is_not_forced(tmp_path: Path) -> None:
    db = FakeGuest("db", deaf_to=REFUSES)
    report = run_with(tmp_path, [db], lambda _: None)
    assert db.asked == [(0, "acpi")]
    assert (by_name(report, "db").outcome, by_name(report, "db").asked) == (Outcome.LEFT, 0)
    assert waiting_guests(tmp_path) == []


def test_a_host_stop_lets_it_come_to_its_end(tmp_path: Path) -> None:
    db = migrating()
    report = run_with(tmp_path, [db], lambda it: it.loop.call_later(20, it.stop, db, Ended.MIGRATED))
    assert db.asked == []
    assert (by_name(report, "db").outcome, by_name(report, "db").ended) == (Outcome.SKIPPED, Ended.MIGRATED)
    assert (report.run.duration, report.run.exit_code) == (pytest.approx(20, abs=1), 0)


@pytest.mark.parametrize(("reason", "asked"), [(Reason.POWEROFF, ["acpi"]), (Reason.MANUAL, [])])
def test_one_that_has_arrived_while_others_go_is_seen_off_by_a_host_stop_and_listed(
    tmp_path: Path, reason: Reason, asked: list[str]
) -> None:
    db, web = FakeGuest("db"), FakeGuest("web", takes=30)
    on_two_hosts(db)

    def arrive(hypervisor: FakeHypervisor, _: Shutdown) -> None:
        hypervisor.loop.call_later(8, lambda: setattr(db, "traits", GuestFacts()))
        hypervisor.loop.call_later(8, lambda: setattr(db, "state", GuestState.RUNNING))

    report = run_shutdown(tmp_path, [db, web], config="defaults: {stop: [acpi]}", reason=reason, meanwhile=arrive)
    assert [how for _, how in db.asked] == asked
    assert by_name(report, "db").outcome is (Outcome.STOPPED if asked else Outcome.LEFT)
    assert sorted(waiting_guests(tmp_path)) == (["db", "web"] if asked else ["web"])


def test_plugins_that_have_made_it_ready_hear_that_it_is_left(tmp_path: Path) -> None:
    told: list[Outcome] = []

    class Service:
        @lastcall.hookimpl
        def on_guest_stop(self, guest: Guest) -> None:
            on_two_hosts(db)
            db.traits = replace(db.traits, job=None)

        @lastcall.hookimpl
        def on_guest_stopped(self, guest: Guest, result: lastcall.GuestResult) -> None:
            told.append(result.outcome)

    db = FakeGuest("db", refuses=REFUSES, traits=GuestFacts(job=OtherJob.BACKUP))
    config = CONFIG + "hooks: {timeout: 5s}\n"
    report = run_shutdown(tmp_path, [db], config=config, reason=Reason.POWEROFF, plugins={"service": Service()})
    assert [how for _, how in db.asked] == []
    assert told == [Outcome.LEFT]
    assert by_name(report, "db").outcome is Outcome.LEFT
