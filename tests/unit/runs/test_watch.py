"""Guests of other hosts that are watched: who waits for them, for how long, and that nobody touches them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import lastcall
from lastcall import Guest, GuestState, Outcome, Reason, Report
from lastcall.api.guests import Ended
from lastcall.errors import UsageError
from lastcall.hypervisor.ports import ConnectionGivenUp, GuestFacts, GuestStopped
from lastcall.runs.restore import Restore
from lastcall.runs.shutdown import Shutdown
from lastcall.testing.memory import FakeGuest, FakeHypervisor, run_restore, run_shutdown
from lastcall.timing.deadline import Deadline
from support import by_name, waiting_guests

HERE, THERE, THIRD = "fake://hb/system", "fake://ha/system", "fake://hc/system"
RULES = "guests: [{match: web, depends_on: [db]}]"


def watching(*others: str, rules: str = RULES, more: str = "") -> str:
    """The configuration of the host that watches these connections."""
    watched = "".join(f", {{uri: '{uri}', watch: true}}" for uri in others or (THERE,))
    return f"connections: [{{uri: '{HERE}'}}{watched}]\n{rules}\n{more}"


def off_at(*times: tuple[float, FakeGuest]) -> Callable[[FakeHypervisor, Shutdown], None]:
    """Somebody else stops these guests, so long after the start."""

    def meanwhile(hypervisor: FakeHypervisor, _: Shutdown) -> None:
        for at, fake in times:
            hypervisor.loop.call_later(at, hypervisor.stop, fake, Ended.SHUTDOWN)

    return meanwhile


def pair() -> tuple[FakeGuest, FakeGuest]:
    """A guest over there, and the one here that it needs."""
    return FakeGuest("web", uri=THERE), FakeGuest("db", uri=HERE, takes=2)


def test_whoever_a_watched_guest_needs_is_asked_in_the_moment_in_which_that_is_off(tmp_path: Path) -> None:
    (web, db), other = pair(), FakeGuest("other", uri=HERE)
    report = run_shutdown(
        tmp_path, [web, db, other], config=watching(), reason=Reason.POWER, meanwhile=off_at((8.5, web))
    )
    assert (db.asked, other.asked, web.asked) == ([(8.5, "acpi")], [(0.0, "acpi")], [])
    watched = by_name(report, "web")
    assert (watched.outcome, watched.message) == (Outcome.SKIPPED, "waited for, off after 8.5 s")
    assert by_name(report, "db").waited_for == ("web",)
    assert (report.run.exit_code, waiting_guests(tmp_path)) == (0, ["db", "other"])


def joins(hypervisor: FakeHypervisor, run: Shutdown, db: FakeGuest) -> None:
    """A host stop joins a run for another guest by name."""
    hypervisor.loop.call_later(3, run.join, Reason.POWER, Deadline.after(3, 300, reserve=30, grace=30))


def turns(hypervisor: FakeHypervisor, run: Shutdown, db: FakeGuest) -> None:
    """The mains are back, and gone again."""
    ordinary = Deadline.after(0, 300, reserve=30, grace=30)
    hypervisor.loop.call_later(2, run.power_returns, ordinary, None)
    hypervisor.loop.call_later(3, run.announce, Reason.POWER, ordinary)


def comes_up(hypervisor: FakeHypervisor, run: Shutdown, db: FakeGuest) -> None:
    """Somebody starts the guest while the run goes on."""
    db.state = GuestState.OFF
    hypervisor.loop.call_later(3, hypervisor.begin, db)


@pytest.mark.parametrize("how", [joins, turns, comes_up])
def test_who_is_to_go_only_since_the_run_is_under_way_waits_for_the_watched_guests_that_need_it_too(
    tmp_path: Path, how: Callable[[FakeHypervisor, Shutdown, FakeGuest], None]
) -> None:
    (web, db), others = pair(), [FakeGuest(f"g{number}", uri=HERE, takes=9) for number in range(4)]

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        how(hypervisor, run, db)
        off_at((8.5, web))(hypervisor, run)

    report = run_shutdown(
        tmp_path, [web, db, *others], config=watching(), meanwhile=meanwhile,
        reason=Reason.MANUAL if how is joins else Reason.POWER, names=["g0"] if how is joins else (),
    )  # fmt: skip
    assert db.asked == [(8.5, "acpi")]
    assert web.asked == []
    assert by_name(report, "web").outcome is Outcome.SKIPPED
    assert by_name(report, "db").waited_for == ("web",)


def test_a_watched_guest_that_stays_up_holds_up_once_only_who_is_started_again(tmp_path: Path) -> None:
    (web, db), other = pair(), FakeGuest("other", uri=HERE, takes=40)

    def meanwhile(hypervisor: FakeHypervisor, _: Shutdown) -> None:
        hypervisor.loop.call_later(20, hypervisor.begin, db)

    config = watching(more="shutdown: {watch: {wait: 10s}}")
    run_shutdown(tmp_path, [web, db, other], config=config, reason=Reason.POWER, meanwhile=meanwhile)
    assert db.asked == [(10, "acpi"), (20, "acpi")]


def test_a_watched_guest_that_latecomers_wait_for_takes_nobodys_place(tmp_path: Path) -> None:
    (web, db), others = pair(), [FakeGuest(f"g{number}", uri=HERE, takes=5) for number in range(3)]

    def meanwhile(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        comes_up(hypervisor, run, db)

    config = watching(more="shutdown: {parallel: 1, watch: {wait: 30s}}")
    run_shutdown(tmp_path, [web, db, *others], config=config, reason=Reason.POWER, meanwhile=meanwhile)
    assert sorted(at for fake in others for at, _ in fake.asked) == [0, 5, 10]
    assert db.asked == [(33, "acpi")]


def test_a_watched_guest_is_never_touched_gets_no_hook_and_takes_nobodys_place(tmp_path: Path) -> None:
    (web, db), more = pair(), [FakeGuest(f"g{number}", uri=HERE, takes=3) for number in range(2)]

    class Told:
        def __init__(self) -> None:
            self.seen: list[tuple[str, str]] = []

        @lastcall.hookimpl
        def guest_waits(self, guest: Guest) -> None:
            self.seen.append(("waits", guest.name))

        @lastcall.hookimpl
        def on_guest_stop(self, guest: Guest) -> None:
            self.seen.append(("stop", guest.name))

        @lastcall.hookimpl
        def on_guest_stuck(self, guest: Guest) -> None:
            self.seen.append(("stuck", guest.name))

        @lastcall.hookimpl
        def on_guest_stopped(self, guest: Guest) -> None:
            self.seen.append(("stopped", guest.name))

        @lastcall.hookimpl
        def guest_busy(self, guest: Guest) -> None:
            self.seen.append(("busy", guest.name))

    told = Told()
    one_by_one = watching(more="shutdown: {parallel: 1, watch: {wait: 5s}}")
    run_shutdown(tmp_path, [web, db, *more], config=one_by_one, reason=Reason.POWER, plugins={"told": told})
    assert (web.asked, web.state) == ([], GuestState.RUNNING)
    assert {name for _, name in told.seen} == {"db", "g0", "g1"}
    assert sorted(at for fake in more for at, _ in fake.asked) == [0.0, 3.0]
    assert db.asked == [(6.0, "acpi")]


def test_a_neighbour_that_stays_up_is_waited_for_as_long_as_is_configured(tmp_path: Path) -> None:
    web, db = pair()
    report = run_shutdown(
        tmp_path, [web, db], config=watching(more="shutdown: {watch: {wait: 20s}}"), reason=Reason.POWER
    )
    assert db.asked == [(20.0, "acpi")]
    assert by_name(report, "web").message == "waited for 20.0 s, and still running"
    assert report.run.exit_code == 0


def test_a_neighbour_that_goes_down_is_waited_for_as_long_as_its_guests_go_off_one_by_one(tmp_path: Path) -> None:
    web, db = pair()
    before = [FakeGuest(f"front-{number}", uri=THERE) for number in range(3)]
    going = off_at(*((15.0 * (number + 1), fake) for number, fake in enumerate(before)), (58.0, web))
    config = watching(more="shutdown: {watch: {wait: 20s}}")
    run_shutdown(tmp_path, [web, db, *before], config=config, reason=Reason.POWER, meanwhile=going)
    assert db.asked == [(58.0, "acpi")]


@pytest.mark.parametrize(
    ("reasons", "reason", "waits"),
    [
        ("", Reason.POWER, True),
        ("", Reason.REBOOT, False),
        ("", Reason.POWEROFF, False),
        (", reasons: [reboot, power]", Reason.REBOOT, True),
        (", reasons: host", Reason.POWEROFF, True),
        (", reasons: []", Reason.POWER, False),
        (", reasons: [manual]", Reason.MANUAL, True),
    ],
)
def test_neighbours_are_waited_for_by_runs_for_the_reasons_that_are_listed_and_by_no_others(
    tmp_path: Path, reasons: str, reason: Reason, *, waits: bool
) -> None:
    web, db = pair()
    config = watching(more=f"shutdown: {{watch: {{wait: 9s{reasons}}}}}")
    report = run_shutdown(tmp_path, [web, db], config=config, reason=reason)
    assert db.asked == [(9.0 if waits else 0.0, "acpi")]
    why = "waited for 9.0 s, and still running" if waits else f"goes on; a run for {reason} does not wait for it"
    assert by_name(report, "web").message == why


def test_nobody_is_asked_later_than_everybody_is_whatever_is_waited_for(tmp_path: Path) -> None:
    web, db = pair()
    config = watching(more="shutdown: {deadline: 100s, watch: {wait: 1h}}")
    report = run_shutdown(tmp_path, [web, db], config=config, reason=Reason.POWER)
    assert db.asked == [(report.run.last_ask, "acpi")]
    assert by_name(report, "db").outcome is Outcome.STOPPED


def test_a_neighbour_that_dies_costs_its_reconnect_and_one_that_is_not_there_nothing(tmp_path: Path) -> None:
    (web, db), ends = pair(), list[float]()

    def dies(hypervisor: FakeHypervisor, _: Shutdown) -> None:
        # As libvirt's side does it: dead at 3 s, given up when `reconnect` is over.
        hypervisor.loop.call_later(3.0, lambda: hypervisor.lose(THERE, back_after=1000.0))
        given_up = ConnectionGivenUp(THERE, "end of file")
        hypervisor.loop.call_later(3.0 + 7.0, hypervisor.tell, given_up)

    report = run_shutdown(tmp_path, [web, db], config=watching(), reason=Reason.POWER, meanwhile=dies)
    ends.append(db.asked[0][0])
    assert "its connection is lost" in by_name(report, "web").message
    web, db = pair()
    report = run_shutdown(tmp_path, [web, db], config=watching(), reason=Reason.POWER, dead=[THERE])
    ends.append(db.asked[0][0])
    assert ends == [10.0, 0.0]
    assert report.run.exit_code == 0
    assert [problem.severity for problem in report.problems] == ["warning"]


def test_what_happened_while_a_neighbours_connection_was_dead_is_asked_for_when_it_is_back(tmp_path: Path) -> None:
    web, db = pair()

    def dies(hypervisor: FakeHypervisor, _: Shutdown) -> None:
        hypervisor.loop.call_later(3.0, lambda: hypervisor.lose(THERE, back_after=9.0))
        hypervisor.loop.call_later(5.0, hypervisor.stop, web, Ended.SHUTDOWN)

    run_shutdown(tmp_path, [web, db], config=watching(), reason=Reason.POWER, meanwhile=dies)
    assert db.asked[0][0] == pytest.approx(12.0, abs=1.0)


def test_a_lost_event_of_a_neighbour_costs_a_round_of_questions_and_not_the_wait(tmp_path: Path) -> None:
    web, db = pair()
    web.quiet = True
    run_shutdown(tmp_path, [web, db], config=watching(), reason=Reason.POWER, meanwhile=off_at((8.5, web)))
    assert 8.5 < db.asked[0][0] <= 15.0


def test_of_ten_peers_nine_may_be_gone_and_the_run_is_over_in_time(tmp_path: Path) -> None:
    uris = [f"fake://peer-{number}/system" for number in range(10)]
    webs = [FakeGuest(f"web-{number}", uri=uri) for number, uri in enumerate(uris)]
    db = FakeGuest("db", uri=HERE, takes=2)
    config = watching(*uris, rules="guests: [{match: 'web-*', depends_on: [db]}]", more="shutdown: {deadline: 60s}")
    dead, frozen = uris[1:5], uris[5:]

    def freezes(hypervisor: FakeHypervisor, _: Shutdown) -> None:
        for uri in frozen:
            hypervisor.loop.call_later(1.0, hypervisor.lose, uri)

    report = run_shutdown(
        tmp_path, [*webs, db], config=config, reason=Reason.POWER, dead=dead, meanwhile=freezes
    )  # fmt: skip
    assert by_name(report, "db").outcome is Outcome.STOPPED
    assert report.run.duration < 60


def test_a_chain_over_three_hosts_goes_on_by_what_each_hears_of_the_one_before(tmp_path: Path) -> None:
    """The middle one: it waits for the first, and the last one waits for it."""
    web, db, store = FakeGuest("web", uri=THERE), FakeGuest("db", uri=HERE, takes=3), FakeGuest("store", uri=THIRD)
    rules = "guests: [{match: web, depends_on: [db]}, {match: db, depends_on: [store]}]"
    report = run_shutdown(
        tmp_path, [web, db, store], config=watching(THERE, THIRD, rules=rules), reason=Reason.POWER,
        meanwhile=off_at((4.0, web)),
    )  # fmt: skip
    assert db.asked == [(4.0, "acpi")]
    assert [guest.name for guest in report.guests] == ["db", "web"], "who needs nobody here is none of the run's"
    last = f"connections: ['{THIRD}', {{uri: '{THERE}', watch: true}}, {{uri: '{HERE}', watch: true}}]"
    web, db, store = FakeGuest("web", uri=THERE), FakeGuest("db", uri=HERE), FakeGuest("store", uri=THIRD)
    run_shutdown(
        tmp_path, [web, db, store], config=f"{last}\n{rules}", reason=Reason.POWER,
        meanwhile=off_at((4.0, web), (7.0, db)),
    )  # fmt: skip
    assert store.asked == [(7.0, "acpi")]


def test_what_a_watched_guest_says_of_itself_counts_here_and_what_is_wrong_with_it_is_told_there(
    tmp_path: Path,
) -> None:
    web, db = pair()
    own = {"depends_on": "[db, nobody-here]", "order": "1", "no-such-key": "x", "manage": "true"}
    web.traits = GuestFacts(metadata=own)
    report = run_shutdown(
        tmp_path, [web, db], config=watching(rules="guests: [{match: db, order: 5}]"), reason=Reason.POWER,
        meanwhile=off_at((8.5, web)),
    )  # fmt: skip
    assert (db.asked, web.asked) == ([(8.5, "acpi")], [])
    assert not report.problems


def test_order_numbers_are_those_of_one_host(tmp_path: Path) -> None:
    web, db = pair()
    first = FakeGuest("first", uri=HERE)
    rules = f"guests: [{{match: first, order: 2}}, {{match: db, order: 1}}, {RULES[9:-1]}]"
    run_shutdown(
        tmp_path, [web, db, first], config=watching(rules=rules), reason=Reason.POWER, meanwhile=off_at((8.5, web))
    )
    assert (first.asked, db.asked) == ([(0.0, "acpi")], [(8.5, "acpi")]), "web has none, and is not ahead of first"


def test_a_name_means_the_guest_of_ones_own_host_where_there_is_one(tmp_path: Path) -> None:
    """Each host has its own dns."""
    fakes = {
        (name, uri): FakeGuest(name, uri=uri) for name in ("app", "dns") for uri in (HERE, THERE)
    }  # fmt: skip
    rules = "guests: [{match: app, depends_on: [dns]}]"
    report = run_shutdown(
        tmp_path, list(fakes.values()), config=watching(rules=rules), reason=Reason.POWER
    )  # fmt: skip
    assert fakes["dns", HERE].asked == [(1.0, "acpi")], "its own app is off, and the other's needs the other dns"
    assert {guest.uri for guest in report.guests} == {HERE}


def test_a_connection_that_leads_to_this_host_itself_is_not_watched(tmp_path: Path) -> None:
    """One configuration for all hosts names all of them."""
    web, db = FakeGuest("web", uri=HERE, takes=2), FakeGuest("db", uri=HERE)
    itself = [FakeGuest(one.name, uri=THERE, uuid=one.uuid) for one in (web, db)]

    def same_host(hypervisor: FakeHypervisor, _: Shutdown) -> None:
        hypervisor.hosts = {HERE: "hb", THERE: "hb"}

    rules = f"guests: [{{match: web, depends_on: [{{name: db, uri: '{HERE}'}}]}}]"
    report = run_shutdown(
        tmp_path, [web, db, *itself], config=watching(rules=rules), reason=Reason.POWER, meanwhile=same_host
    )
    assert [guest.uri for guest in report.guests] == [HERE, HERE]
    assert db.asked == [(2.0, "acpi")]


def test_watching_each_other_is_no_circle_and_what_stays_up_over_there_holds_up_a_chain_once(tmp_path: Path) -> None:
    web, db = pair()
    back, forth = FakeGuest("back", uri=THERE), FakeGuest("forth", uri=HERE, takes=1)
    both = "guests: [{match: web, depends_on: [db]}, {match: forth, depends_on: [back]}]"
    report = run_shutdown(
        tmp_path, [web, db, back, forth], config=watching(rules=both), reason=Reason.POWER,
        meanwhile=off_at((5.0, web)),
    )  # fmt: skip
    assert (db.asked, forth.asked, report.problems) == ([(5.0, "acpi")], [(0.0, "acpi")], ())
    chain = (
        "guests: [{match: web, depends_on: [db]}, {match: db, depends_on: [back]}, {match: back, depends_on: [forth]}]"
    )
    web, db = pair()
    back, forth = FakeGuest("back", uri=THERE), FakeGuest("forth", uri=HERE)
    config = watching(rules=chain, more="shutdown: {watch: {wait: 6s}}")
    run_shutdown(tmp_path, [web, db, back, forth], config=config, reason=Reason.POWER)
    assert (db.asked, forth.asked) == ([(6.0, "acpi")], [(8.0, "acpi")])


@pytest.mark.parametrize("reason", [Reason.MANUAL, Reason.DRILL])
def test_a_run_that_nothing_forces_is_refused_where_a_neighbours_guest_goes_on_that_needs_one(
    tmp_path: Path, reason: Reason
) -> None:
    web, db = pair()
    with pytest.raises(UsageError, match="nobody is stopped: web goes on and needs db") as refused:
        run_shutdown(tmp_path, [web, db], config=watching(), reason=reason)
    assert refused.value.remedy == "stop it there first, or give --yes-neighbours"
    assert (db.asked, (tmp_path / "state.json").exists()) == ([], False)
    report = run_shutdown(tmp_path, [web, db], config=watching(), reason=reason, yes_neighbours=True)
    assert (by_name(report, "db").outcome, db.asked) == (Outcome.STOPPED, [(0.0, "acpi")])


def test_a_run_for_guests_that_nobody_elsewhere_needs_is_not_refused(tmp_path: Path) -> None:
    (web, db), other = pair(), FakeGuest("other", uri=HERE)
    report = run_shutdown(tmp_path, [web, db, other], config=watching(), names=["other"])
    assert by_name(report, "other").outcome is Outcome.STOPPED
    web.state = GuestState.OFF
    report = run_shutdown(tmp_path, [web, db], config=watching())
    assert by_name(report, "db").outcome is Outcome.STOPPED


def test_a_single_guest_of_ones_own_connection_can_be_watched(tmp_path: Path) -> None:
    """Somebody else's, as a cluster's: it stops it, and starts it."""
    web, db = FakeGuest("web", uri=HERE), FakeGuest("db", uri=HERE, takes=2)
    rules = "guests: [{match: web, manage: watch, depends_on: [db]}]"
    report = run_shutdown(
        tmp_path, [web, db], config=f"connections: ['{HERE}']\n{rules}", reason=Reason.POWER,
        meanwhile=off_at((8.5, web)),
    )  # fmt: skip
    assert (db.asked, web.asked) == ([(8.5, "acpi")], [])
    assert by_name(report, "web").message == "waited for, off after 8.5 s"
    assert waiting_guests(tmp_path) == ["db"]


def test_a_guest_of_a_neighbour_that_is_not_managed_holds_up_nobody(tmp_path: Path) -> None:
    web, db = pair()
    rules = f"{RULES[:-1]}, {{match: {{uri: '{THERE}'}}, manage: false}}]"
    report = run_shutdown(tmp_path, [web, db], config=watching(rules=rules), reason=Reason.POWER)
    assert (db.asked, web.asked, [guest.name for guest in report.guests]) == ([(0.0, "acpi")], [], ["db"])


def test_who_interrupts_a_run_does_not_wait_for_neighbours(tmp_path: Path) -> None:
    web, db = pair()
    config = watching(more="shutdown: {watch: {wait: 1h, reasons: [manual]}}")

    def interrupt(hypervisor: FakeHypervisor, run: Shutdown) -> None:
        hypervisor.loop.call_later(4.0, run.interrupt)

    report = run_shutdown(tmp_path, [web, db], config=config, meanwhile=interrupt)
    assert (db.asked, report.run.duration <= 6) == ([], True)


def back_up(tmp_path: Path, guests: Sequence[FakeGuest], config: str, **more: Any) -> Report:
    """Stop them, and bring them back."""
    run_shutdown(tmp_path, guests, config=config, reason=Reason.POWER)
    return run_restore(tmp_path, guests, config=config, at_boot=True, **more)


NEEDING = "guests: [{match: app, depends_on: [db]}]"


def test_who_needs_a_watched_guest_starts_when_that_one_runs_and_is_ready(tmp_path: Path) -> None:
    app, db, other = FakeGuest("app", uri=HERE), FakeGuest("db", uri=THERE), FakeGuest("other", uri=HERE)
    is_ready = set[str]()

    class Ready:
        @lastcall.hookimpl
        def guest_ready(self, guest: Guest) -> bool:
            return guest.name != "db" or "db" in is_ready

    def meanwhile(hypervisor: FakeHypervisor, _: Restore) -> None:
        hypervisor.loop.call_later(30.0, is_ready.add, "db")
        db.state = GuestState.OFF
        hypervisor.loop.call_later(20.0, hypervisor.begin, db)

    report = back_up(
        tmp_path, [app, db, other], watching(rules=NEEDING, more="restore: {parallel: 1}"),
        plugins={"r": Ready()}, meanwhile=meanwhile,
    )  # fmt: skip
    started = {fake.name: [at for at, how in fake.asked if how == "start"] for fake in (app, db, other)}
    assert started["db"] == []
    assert started["other"] == [0.0], "it takes nobody's place meanwhile"
    assert 30.0 <= started["app"][0] <= 33.0
    assert report.run.exit_code == 0


def test_a_neighbour_that_is_not_up_yet_is_looked_for_and_waited_for_at_most_its_ready_timeout(tmp_path: Path) -> None:
    app, db = FakeGuest("app", uri=HERE), FakeGuest("db", uri=THERE)
    config = watching(rules=NEEDING, more="restore: {ready_timeout: 40s}")

    def comes_up(hypervisor: FakeHypervisor, _: Restore) -> None:
        hypervisor.loop.call_later(12.0, hypervisor.open_up, THERE)

    back_up(tmp_path, [app, db], config, dead=[THERE], meanwhile=comes_up)
    assert 12.0 <= app.asked[-1][0] <= 16.0
    app = FakeGuest("app", uri=HERE)
    report = back_up(tmp_path, [app, db], config, dead=[THERE])
    assert 40.0 <= app.asked[-1][0] <= 44.0
    assert [problem.message for problem in report.problems if "was not ready" in problem.message]
    assert by_name(report, "app").outcome is Outcome.STARTED


def test_a_restore_waits_for_no_neighbour_where_the_guest_is_one_of_its_own_or_nobody(tmp_path: Path) -> None:
    app, db, twin = FakeGuest("app", uri=HERE), FakeGuest("db", uri=HERE), FakeGuest("db", uri=THERE)
    twin.state = GuestState.OFF
    back_up(tmp_path, [app, db, twin], watching(rules=NEEDING))
    assert (db.asked[-1], app.asked[-1]) == ((0.0, "start"), (0.0, "start"))
    app, other = FakeGuest("app", uri=HERE), FakeGuest("x", uri=THERE)
    back_up(tmp_path, [app, other], watching(rules=NEEDING))
    assert app.asked[-1] == (0.0, "start"), "a misspelt name must not cost two minutes at every boot"


def test_an_event_of_a_neighbour_without_a_part_in_the_run_changes_nothing(tmp_path: Path) -> None:
    (web, db), idle = pair(), FakeGuest("idle", uri=THERE)

    def meanwhile(hypervisor: FakeHypervisor, _: Shutdown) -> None:
        hypervisor.loop.call_later(1.0, hypervisor.begin, idle)
        hypervisor.loop.call_later(2.0, hypervisor.tell, GuestStopped(THERE, "unknown", Ended.SHUTDOWN))
        hypervisor.loop.call_later(3.0, hypervisor.stop, web, Ended.DESTROYED)

    report = run_shutdown(tmp_path, [web, db, idle], config=watching(), reason=Reason.POWER, meanwhile=meanwhile)
    assert db.asked == [(3.0, "acpi")]
    assert {guest.name for guest in report.guests} == {"web", "db"}
