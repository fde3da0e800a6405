"""Dependencies and order numbers: on random graphs, and the rules one by one."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lastcall
from lastcall import Guest, GuestState, Outcome, Reason, Report
from lastcall.config.compose import Vocabulary
from lastcall.config.load import parse
from lastcall.config.policies import Policies
from lastcall.ordering.graph import Graph, make_graph
from lastcall.ordering.nodes import Rank
from lastcall.ordering.queue import ParallelLimits, TurnQueue
from lastcall.planning.forecast import forecast
from lastcall.testing.memory import FakeGuest, FakeHypervisor, run_restore, run_shutdown
from support import by_name

MORE = int(os.environ.get("LASTCALL_EXAMPLES", "1"))  # `make soak` tries more graphs
GRAPHS = st.integers(2, 200).flatmap(
    lambda count: st.tuples(
        st.just(count),
        st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=3 * count),
        st.lists(st.integers(1, 30), min_size=count, max_size=count),
        st.integers(0, 8),
    )
)


def rules(edges: Sequence[tuple[int, int]]) -> str:
    """Configuration in which each edge's first guest needs the second."""
    needs: dict[int, list[str]] = {}
    for one, other in edges:
        needs.setdefault(one, []).append(f"g{other}")
    lines = [f"  - {{match: g{one}, depends_on: [{', '.join(others)}]}}" for one, others in needs.items()]
    return "guests:\n" + "\n".join(lines) if lines else "guests: []"


def graph_of(guests: Sequence[FakeGuest], config: str) -> Graph:
    policies = Policies(parse(config).settings(Vocabulary()))
    return make_graph([fake.guest for fake in guests], policies, ())


def shutdown(guests: Sequence[FakeGuest], config: str, reason: Reason = Reason.MANUAL) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        return run_shutdown(Path(folder), guests, config=f"{config}\nshutdown: {{deadline: 100h}}", reason=reason)


@settings(max_examples=40 * MORE)
@given(GRAPHS)
def test_nobody_is_asked_before_those_who_need_it_are_off_and_the_run_takes_the_critical_path(
    drawn: tuple[int, list[tuple[int, int]], list[int], int],
) -> None:
    count, pairs, takes, _ = drawn
    edges = [(max(pair), min(pair)) for pair in pairs if pair[0] != pair[1]]  # downwards only: no cycle
    guests = [FakeGuest(f"g{number}", takes=takes[number]) for number in range(count)]
    report = shutdown(guests, rules(edges))
    assert report.run.exit_code == 0
    assert {guest.outcome for guest in report.guests} == {Outcome.STOPPED}
    for needing, needed in edges:
        off, asked = guests[needing].off_at, guests[needed].asked[0][0]
        assert off is not None
        assert off <= asked
    needs = graph_of(guests, rules(edges)).needed_by
    times = {fake.guest.key: fake.takes for fake in guests}
    assert report.run.duration == pytest.approx(forecast(needs, times, ParallelLimits(), lambda _: 0.0).total)
    assert report.run.duration == pytest.approx(longest_chain(count, edges, takes))


def longest_chain(count: int, edges: Sequence[tuple[int, int]], takes: Sequence[int]) -> int:
    ends = [0] * count
    for number in reversed(range(count)):  # who needs it has a higher number
        ends[number] = takes[number] + max((ends[one] for one, other in edges if other == number), default=0)
    return max(ends)


@settings(max_examples=25 * MORE)
@given(GRAPHS)
def test_parallel_is_never_exceeded_and_nobody_is_forgotten(
    drawn: tuple[int, list[tuple[int, int]], list[int], int],
) -> None:
    count, pairs, takes, parallel = drawn
    edges = [(max(pair), min(pair)) for pair in pairs if pair[0] != pair[1]]
    guests = [FakeGuest(f"g{number}", takes=takes[number]) for number in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        config = f"{rules(edges)}\nshutdown: {{deadline: 100h, parallel: {parallel}}}"
        report = run_shutdown(Path(folder), guests, config=config)
    assert {guest.outcome for guest in report.guests} == {Outcome.STOPPED}
    moments = [(fake.asked[0][0], 1) for fake in guests] + [(fake.off_at or 0.0, -1) for fake in guests]
    moving = 0
    for _, change in sorted(moments):  # at one moment those that end come first
        moving += change
        assert not parallel or moving <= parallel


@settings(max_examples=25 * MORE)
@given(GRAPHS)
def test_every_graph_with_a_cycle_is_named_and_still_stopped_completely(
    drawn: tuple[int, list[tuple[int, int]], list[int], int],
) -> None:
    count, pairs, takes, _ = drawn
    edges = [*pairs, (0, 1), (1, 0)]
    guests = [FakeGuest(f"g{number}", takes=takes[number]) for number in range(count)]
    graph = graph_of(guests, rules(edges))
    assert any("in a circle" in problem.message and " → " in problem.message for problem in graph.problems)
    report = shutdown(guests, rules(edges))
    assert {guest.outcome for guest in report.guests} == {Outcome.STOPPED}
    assert report.run.exit_code == 1
    assert [problem.what for problem in report.problems] == ["order"] * len(graph.problems)


@settings(max_examples=25 * MORE)
@given(GRAPHS)
def test_nobody_meets_the_last_resort_unasked(drawn: tuple[int, list[tuple[int, int]], list[int], int]) -> None:
    count, pairs, takes, parallel = drawn
    deaf = frozenset({"acpi"})
    guests = [
        FakeGuest(f"g{number}", takes=takes[number], deaf_to=deaf if takes[number] % 2 else frozenset())
        for number in range(count)
    ]
    config = f"{rules(pairs)}\nshutdown: {{deadline: 60s, reserve: 20s, grace: 15s, parallel: {parallel}}}"
    with tempfile.TemporaryDirectory() as folder:
        report = run_shutdown(Path(folder), guests, config=config, reason=Reason.POWER)
    for fake in guests:
        assert fake.asked[0][1] == "acpi", fake
        assert fake.off_at is not None
    assert report.run.duration <= 60


def test_a_guest_moves_the_moment_the_last_one_it_waits_for_is_off(tmp_path: Path) -> None:
    web, app, db = FakeGuest("web", takes=3), FakeGuest("app", takes=5), FakeGuest("db", takes=2)
    config = "guests: [{match: web, depends_on: [app]}, {match: app, depends_on: db}]"
    report = run_shutdown(tmp_path, [db, app, web, FakeGuest("other", takes=4)], config=config)
    assert [web.asked[0][0], app.asked[0][0], db.asked[0][0]] == [0, 3, 8]
    assert report.run.duration == pytest.approx(10)
    assert by_name(report, "db").waited_for == ("app",)
    assert report.run.exit_code == 0


def test_a_restore_goes_forward_each_gated_on_the_one_before(tmp_path: Path) -> None:
    guests = [FakeGuest(name, takes=0) for name in ("web", "app", "db")]
    config = (
        "guests: [{match: web, depends_on: [app]}, {match: app, depends_on: db}, {match: '*', ready: {delay: 10s}}]"
    )
    run_shutdown(tmp_path, guests, config=config)
    report = run_restore(tmp_path, guests, config=config)
    starts = {fake.name: next(at for at, how in fake.asked if how == "start") for fake in guests}
    assert starts["db"] < starts["app"] < starts["web"]
    assert starts["app"] - starts["db"] == pytest.approx(10)
    assert [guest.outcome for guest in report.guests] == [Outcome.STARTED] * 3


def test_order_numbers_stop_descending_and_start_ascending_and_those_without_go_first_and_come_last(
    tmp_path: Path,
) -> None:
    guests = [FakeGuest(name, takes=2) for name in ("one", "two-a", "two-b", "none")]
    config = "guests: [{match: one, order: 1}, {match: 'two-*', order: 2}]"
    report = run_shutdown(tmp_path, guests, config=config)
    assert {fake.name: fake.asked[0][0] for fake in guests} == {"none": 0, "two-a": 2, "two-b": 2, "one": 4}
    assert by_name(report, "one").waited_for == ("(order 1)",)
    run_restore(tmp_path, guests, config=f"{config}\nrestore: {{parallel: 0}}")
    starts = [next((at, fake.name) for at, how in fake.asked if how == "start") for fake in guests]
    assert [at for at, _ in starts] == sorted(at for at, _ in starts)


def test_a_guest_without_a_number_takes_the_rank_of_those_who_need_it(tmp_path: Path) -> None:
    guests = [FakeGuest(name, takes=2) for name in ("app", "db", "late")]
    config = "guests: [{match: app, order: 1, depends_on: [db]}, {match: late, order: 2}]"
    report = run_shutdown(tmp_path, guests, config=config)
    assert report.problems == ()
    assert {fake.name: fake.asked[0][0] for fake in guests} == {"late": 0, "app": 2, "db": 4}


def test_where_a_number_contradicts_a_dependency_the_dependency_counts(tmp_path: Path) -> None:
    guests = [FakeGuest(name, takes=2) for name in ("app", "db")]
    config = "guests: [{match: app, order: 1, depends_on: [db]}, {match: db, order: 2}]"
    report = run_shutdown(tmp_path, guests, config=config)
    assert {fake.name: fake.asked[0][0] for fake in guests} == {"app": 0, "db": 2}
    assert "the order numbers in it are ignored" in report.problems[0].message


def test_a_dependency_reaches_over_connections_by_name_glob_and_mapping(tmp_path: Path) -> None:
    storage = FakeGuest("storage", uri="fake:///nas", takes=1)
    guests = [FakeGuest(name, takes=2) for name in ("by-name", "by-glob", "by-uri")]
    config = (
        "guests: [{match: by-name, depends_on: storage}, {match: by-glob, depends_on: ['stor*']}, "
        "{match: by-uri, depends_on: [{name: '*', uri: 'fake:///nas'}]}]"
    )
    report = run_shutdown(tmp_path, [storage, *guests], config=config)
    assert storage.asked[0][0] == 2
    assert by_name(report, "storage").waited_for == ("by-glob", "by-name", "by-uri")


def test_a_name_that_matches_nothing_is_reported_with_the_nearest_and_stops_nobody(tmp_path: Path) -> None:
    guests = [FakeGuest("web"), FakeGuest("storage")]
    report = run_shutdown(tmp_path, guests, config="guests: [{match: web, depends_on: [storrage]}]")
    assert "no guest is called 'storrage'; did you mean 'storage'?" in report.problems[0].message
    assert {guest.outcome for guest in report.guests} == {Outcome.STOPPED}


def test_where_a_connection_is_missing_it_is_not_claimed_that_nobody_has_a_name(tmp_path: Path) -> None:
    guests = [FakeGuest("web", uri="fake:///there"), FakeGuest("storage", uri="fake:///away")]
    config = "guests: [{match: web, depends_on: [storage]}]"
    report = run_shutdown(tmp_path, guests, config=config, dead=["fake:///away"])
    (said,) = [one.message for one in report.problems if "storage" in one.message]
    assert said == "depends_on: no guest is called 'storage', as far as libvirt answered"


def test_a_guest_that_exists_and_is_off_is_nothing_to_wait_for_and_no_mistake(tmp_path: Path) -> None:
    off = FakeGuest("db")
    off.state = GuestState.OFF
    report = run_shutdown(tmp_path, [FakeGuest("web"), off], config="guests: [{match: web, depends_on: [db]}]")
    assert report.problems == ()


def test_a_guest_that_names_itself_is_a_cycle_and_one_that_its_own_glob_covers_is_not(tmp_path: Path) -> None:
    guests = [FakeGuest("a"), FakeGuest("ab")]
    assert "a → a" in graph_of(guests, "guests: [{match: a, depends_on: [a]}]").problems[0].message
    assert graph_of(guests, "guests: [{match: a, depends_on: ['a*']}]").problems == ()


def test_a_dependant_that_is_given_up_does_not_block_for_ever(tmp_path: Path) -> None:
    deaf, storage = FakeGuest("deaf", deaf_to=frozenset({"acpi"})), FakeGuest("storage", takes=3)
    config = "guests: [{match: deaf, depends_on: [storage], timeout: 20s}]"
    report = run_shutdown(tmp_path, [deaf, storage], config=config)
    assert storage.asked[0][0] == 20
    assert (by_name(report, "deaf").outcome, by_name(report, "storage").outcome) == (Outcome.LEFT, Outcome.STOPPED)


def test_an_unmanaged_guest_passes_the_order_on(tmp_path: Path) -> None:
    guests = [FakeGuest(name, takes=4) for name in ("app", "ha", "storage")]
    config = "guests: [{match: app, depends_on: ha}, {match: ha, manage: false, depends_on: storage}]"
    run_shutdown(tmp_path, guests, config=config)
    assert guests[1].asked == []
    assert guests[2].asked[0][0] == 4


def test_a_skipped_guest_counts_as_done_for_the_order_in_a_host_stop(tmp_path: Path) -> None:
    class Flush:
        @lastcall.hookimpl
        def on_guest_stop(self, guest: Guest) -> None:
            if guest.name == "db":
                raise lastcall.HookFailed("no flush")

    db, storage = FakeGuest("db", takes=1), FakeGuest("storage", takes=1)
    config = (
        "hooks: {plugins: {flush: {on_failure: skip_guest}}}\nguests: [{match: db, depends_on: storage}]\n"
        "shutdown: {deadline: 100s, reserve: 20s, grace: 20s}"
    )
    run_shutdown(tmp_path, [db, storage], plugins={"flush": Flush()}, config=config, reason=Reason.POWER)
    assert storage.asked[0][0] == 0
    assert db.asked[0][0] == 60


def test_a_run_for_named_guests_warns_of_those_that_go_on_and_need_them(tmp_path: Path) -> None:
    guests = [FakeGuest("web"), FakeGuest("db")]
    report = run_shutdown(tmp_path, guests, config="guests: [{match: web, depends_on: db}]", names=["db"])
    assert [(problem.where, problem.message) for problem in report.problems] == [("web", "goes on and needs db")]
    assert (guests[0].asked, report.run.exit_code) == ([], 0)


def test_a_connection_has_a_limit_of_its_own(tmp_path: Path) -> None:
    here = [FakeGuest(f"h{number}", takes=4, uri="fake:///a") for number in range(4)]
    there = [FakeGuest(f"t{number}", takes=4, uri="fake:///b") for number in range(4)]
    config = "connections: [{uri: 'fake:///a', parallel: 1}, 'fake:///b']"
    run_shutdown(tmp_path, [*here, *there], config=config)
    assert [fake.asked[0][0] for fake in here] == [0, 4, 8, 12]
    assert [fake.asked[0][0] for fake in there] == [0, 0, 0, 0]


def test_of_those_who_may_move_the_one_that_holds_up_most_goes_first(tmp_path: Path) -> None:
    guests = [FakeGuest(name, takes=5) for name in ("alone", "chain-1", "chain-2", "chain-3")]
    config = (
        "shutdown: {parallel: 1}\n"
        "guests: [{match: chain-1, depends_on: chain-2}, {match: chain-2, depends_on: chain-3}]"
    )
    run_shutdown(tmp_path, guests, config=config)
    assert guests[1].asked[0][0] == 0
    assert max(fake.asked[0][0] for fake in guests) == 15


def test_a_latecomer_waits_for_who_needs_it_and_is_still_going(tmp_path: Path) -> None:
    config = "guests: [{match: client, depends_on: storage}]"
    client, storage = FakeGuest("client", takes=30), FakeGuest("storage", appears_at=10)
    report = run_shutdown(tmp_path, [client, storage], config=config, reason=Reason.POWER)
    assert [at for at, _ in storage.asked] == [30]
    assert not by_name(report, "storage").out_of_order


def test_one_that_still_waits_waits_for_a_latecomer_that_needs_it_as_well(tmp_path: Path) -> None:
    config = "guests: [{match: client, depends_on: storage}, {match: late, depends_on: storage}]"
    storage, late = FakeGuest("storage"), FakeGuest("late", takes=40, appears_at=10)
    run_shutdown(tmp_path, [FakeGuest("client", takes=30), storage, late], config=config, reason=Reason.POWER)
    assert [fake.asked[0][0] for fake in (late, storage)] == [10, 50]


def test_one_that_waits_for_room_waits_for_a_latecomer_that_needs_it_as_well(tmp_path: Path) -> None:
    config = "shutdown: {parallel: 1}\nguests: [{match: late, depends_on: storage}]"
    storage, late = FakeGuest("storage"), FakeGuest("late", takes=40, appears_at=10)
    run_shutdown(tmp_path, [FakeGuest("first", takes=30), storage, late], config=config, reason=Reason.POWER)
    assert [fake.asked[0][0] for fake in (late, storage)] == [30, 70]


@pytest.mark.parametrize(
    "config",
    [
        "guests: [{match: first, order: 3}, {match: second, order: 2}, {match: third, order: 1}]",
        "guests: [{match: first, depends_on: second}, {match: second, depends_on: third}]",
    ],
)
def test_one_behind_a_guest_that_goes_waits_for_a_latecomer_that_was_to_go_before_both(
    tmp_path: Path, config: str
) -> None:
    first, second = FakeGuest("first", takes=60, appears_at=10), FakeGuest("second", takes=30)
    third = FakeGuest("third")
    report = run_shutdown(tmp_path, [first, second, third], config=config, reason=Reason.POWER)
    assert [fake.asked[0][0] for fake in (second, first, third)] == [0, 10, 70]
    assert not by_name(report, "third").out_of_order


def test_latecomers_with_order_numbers_hold_up_nobody_who_waited_before_them(tmp_path: Path) -> None:
    config = "guests: [{match: '*1', order: 1}, {match: '*2', order: 2}]"
    guests = [FakeGuest("a1"), FakeGuest("a2", takes=30)]
    late = [FakeGuest("b1", appears_at=10), FakeGuest("b2", takes=5, appears_at=10)]
    run_shutdown(tmp_path, [*guests, *late], config=config)
    assert [fake.asked[0][0] for fake in (*guests, *late)] == [30, 0, 30, 10]


def test_ranks_need_few_edges() -> None:
    guests = [FakeGuest(f"g{number}") for number in range(600)]
    config = "guests: [{match: 'g*1', order: 1}, {match: 'g*2', order: 2}, {match: 'g*3', order: 3}]"
    graph = graph_of(guests, config)
    assert sum(len(needed) for needed in graph.needs.values()) < 3 * 600
    assert Rank(1) in graph.needs


def test_one_that_goes_before_its_turn_does_not_let_those_go_that_wait_for_those_before_it() -> None:
    first, second, third, late = (("fake:///system", name) for name in ("first", "second", "third", "late"))
    turns = TurnQueue({first: set(), second: {first}, third: {second}}, ParallelLimits(), lambda _: 0.0)
    assert turns.grant() == [first]
    turns.done(second)
    assert turns.grant() == []
    turns.add({late: {second}})
    assert turns.grant() == [], "nor a latecomer"
    turns.done(first)
    assert sorted(turns.grant()) == [late, third]


def test_one_that_went_before_its_turn_and_came_back_is_waited_for_anew() -> None:
    first, second, third = (("fake:///system", name) for name in ("first", "second", "third"))
    turns = TurnQueue({first: set(), second: {first}, third: {second}}, ParallelLimits(), lambda _: 0.0)
    turns.grant()
    turns.done(second)
    turns.add({second: set()})
    turns.done(first)
    assert turns.grant() == [second]
    turns.done(second)
    assert turns.grant() == [third]


def test_a_lost_guest_lets_those_go_on_that_waited_for_it(tmp_path: Path) -> None:
    lost, storage = FakeGuest("lost", takes=60, uri="fake:///a"), FakeGuest("storage", uri="fake:///b")

    def meanwhile(hypervisor: FakeHypervisor, _run: object) -> None:
        hypervisor.loop.call_later(2, hypervisor.lose, "fake:///a")

    config = "guests: [{match: lost, depends_on: storage}]"
    report = run_shutdown(tmp_path, [lost, storage], config=config, meanwhile=meanwhile)
    assert by_name(report, "lost").outcome is Outcome.UNKNOWN
    assert by_name(report, "storage").outcome is Outcome.STOPPED
