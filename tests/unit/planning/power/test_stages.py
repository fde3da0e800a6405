"""Who is shed when, on random graphs and outages: never anybody before those that run and need it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall import GuestShedding
from lastcall.api.guests import Key
from lastcall.ordering.graph import Graph
from lastcall.ordering.nodes import Edges, Node, Rank
from lastcall.planning.power.stages import BatteryState, SheddingOrder, ShedStage, stages_of

COUNT = 12
TIMES = st.integers(0, 20).map(float)
PARTS = st.integers(1, 20).map(float)
MAYBE = st.one_of(st.none(), PARTS)
SHEDDINGS = st.builds(GuestShedding, after=st.one_of(st.none(), TIMES), below=MAYBE, runtime_below=MAYBE)
OUTAGES = st.builds(BatteryState, seconds=TIMES, charge=MAYBE, runtime=MAYBE)


def key(number: int) -> Key:
    return ("fake:///system", f"{number}")


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Graph, dict[Key, GuestShedding]]:
    """Guests that need each other, some by way of a rank, some of which may be shed."""
    needs: dict[Node, set[Node]] = {key(number): set() for number in range(COUNT)}
    for one, other in draw(st.lists(st.tuples(st.integers(0, COUNT - 1), st.integers(0, COUNT - 1)), max_size=15)):
        if one != other:
            needs[key(max(one, other))].add(key(min(one, other)))  # downwards only: no circle
    between = draw(st.one_of(st.none(), st.integers(1, COUNT - 1)))
    if between is not None:
        needs[Rank(1)] = {key(number) for number in range(between)}
        for number in range(between, COUNT):
            needs[key(number)].add(Rank(1))
    wanted = draw(st.dictionaries(st.integers(0, COUNT - 1).map(key), SHEDDINGS, max_size=COUNT))
    return Graph(needs), wanted


def needing(needs: Edges, needed: Node) -> set[Node]:
    """Everybody who needs it, found the slow way: by asking each."""
    direct = {node for node, others in needs.items() if needed in others}
    return direct | {further for node in direct for further in needing(needs, node)}


def guests_needing(graph: Graph, one: Key) -> set[Node]:
    return {node for node in needing(graph.needs, one) if not isinstance(node, Rank)}


@given(worlds(), OUTAGES)
def test_a_guest_is_due_as_soon_as_its_own_stage_has_come_and_that_of_everybody_who_needs_it_and_not_before(
    world: tuple[Graph, dict[Key, GuestShedding]], power: BatteryState
) -> None:
    graph, wanted = world
    due = SheddingOrder(wanted, graph).due(power)
    own = {one for one, shed in wanted.items() if any(stage.holds(power) for stage in stages_of(shed))}
    assert set(due) == {one for one in own if guests_needing(graph, one) <= own}
    assert all(stage.holds(power) and stage in stages_of(wanted[one]) for one, stage in due.items())


@given(worlds(), OUTAGES)
def test_who_waits_waits_for_those_who_need_it_and_whose_stage_has_not_come(
    world: tuple[Graph, dict[Key, GuestShedding]], power: BatteryState
) -> None:
    graph, wanted = world
    order = SheddingOrder(wanted, graph)
    own = {one for one, shed in wanted.items() if any(stage.holds(power) for stage in stages_of(shed))}
    assert {one: set(others) for one, others in order.waiting(power).items()} == {
        one: guests_needing(graph, one) - own for one in own if not guests_needing(graph, one) <= own
    }


@given(worlds(), OUTAGES, TIMES, st.integers(0, 9), st.integers(0, 9))
def test_as_an_outage_goes_on_nobody_who_was_due_is_so_no_more(
    world: tuple[Graph, dict[Key, GuestShedding]], power: BatteryState, longer: float, less: int, shorter: int
) -> None:
    graph, wanted = world
    later = BatteryState(
        seconds=power.seconds + longer, charge=None if power.charge is None else power.charge - less,
        runtime=None if power.runtime is None else power.runtime - shorter,
    )  # fmt: skip
    order = SheddingOrder(wanted, graph)
    assert set(order.due(power)) <= set(order.due(later))


@given(worlds(), OUTAGES)
def test_what_comes_next_sheds_somebody_and_by_time_nothing_comes_before_it(
    world: tuple[Graph, dict[Key, GuestShedding]], power: BatteryState
) -> None:
    order = SheddingOrder(world[1], world[0])
    now = set(order.due(power))
    coming = {one.stage.kind: one for one in order.coming(power)}
    by_time = coming.get("after")
    until = 100.0 if by_time is None else by_time.stage.threshold
    for second in range(int(power.seconds), int(until)):
        assert set(order.due(replace(power, seconds=float(second)))) == now
    if by_time:
        then = replace(power, seconds=power.seconds + (by_time.seconds or 0.0))
        assert set(by_time.guests) == set(order.due(then)) - now != set()
    for kind in ("below", "runtime_below"):
        if kind in coming:
            at = coming[kind].stage.begun(power)
            assert at is not None
            assert set(coming[kind].guests) == set(order.due(at)) - now != set()
            assert coming[kind].seconds is None


@given(worlds())
def test_a_shed_is_in_vain_where_somebody_who_is_never_shed_needs_the_guest_and_only_there(
    world: tuple[Graph, dict[Key, GuestShedding]],
) -> None:
    graph, wanted = world
    order, ever = SheddingOrder(wanted, graph), {one for one, shed in wanted.items() if stages_of(shed)}
    in_vain = order.in_vain()
    assert set(in_vain) == {one for one in ever if not guests_needing(graph, one) <= ever}
    empty = BatteryState(seconds=1e6, charge=-1, runtime=-1)
    assert set(order.due(empty)) == ever - set(in_vain), "all others are shed in the end"


@pytest.mark.parametrize(
    ("power", "stage"),
    [
        (BatteryState(seconds=299), None),
        (BatteryState(seconds=300), ShedStage("after", 300)),
        (BatteryState(seconds=0, charge=60), None),
        (BatteryState(seconds=0, charge=59.9), ShedStage("below", 60)),
        (BatteryState(seconds=0, charge=99, runtime=900), None),
        (BatteryState(seconds=0, charge=99, runtime=899), ShedStage("runtime_below", 900)),
    ],
)
def test_the_first_that_holds_of_time_charge_and_runtime_sheds_and_what_nobody_says_never_does(
    power: BatteryState, stage: ShedStage | None
) -> None:
    order = SheddingOrder({key(0): GuestShedding(after=300, below=60, runtime_below=900)}, Graph({key(0): ()}))
    assert order.due(power).get(key(0)) == stage


def test_a_stage_is_told_in_words() -> None:
    stages = ShedStage("after", 300), ShedStage("below", 60), ShedStage("runtime_below", 900)
    assert list(map(str, stages)) == ["after 5min on battery", "below 60% of charge", "below 15min of runtime"]
