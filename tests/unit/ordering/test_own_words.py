"""What guests say of their order in their own metadata: it costs the others neither their order nor their time."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import lastcall.ordering.dependencies as dependencies_module
from lastcall import Guest, Outcome, Reason
from lastcall.config.compose import Vocabulary
from lastcall.config.guest_settings import GuestPolicy, Match
from lastcall.config.load import parse
from lastcall.config.metadata import read_metadata
from lastcall.config.policies import OWN_WORD, Policies
from lastcall.hypervisor.ports import GuestFacts
from lastcall.ordering import circles
from lastcall.ordering.graph import Graph, make_graph
from lastcall.ordering.nodes import Rank
from lastcall.testing.memory import FakeGuest, run_shutdown

MANY = 300  # guests
Words = Callable[[int], Mapping[str, str]]


def guest(number: int) -> Guest:
    return Guest(uri="fake:///system", uuid=f"u{number}", name=f"g{number}")


def graph_of(count: int, says: Words, config: str = "defaults: {}", sayers: int | None = None) -> Graph:
    """The graph of so many guests, of which the first ones say something of themselves."""
    policies = Policies(parse(config).settings(Vocabulary()))
    guests = [guest(number) for number in range(count)]
    for number in range(count if sayers is None else sayers):
        policy, problems = read_metadata(GuestPolicy, guests[number], says(number))
        assert policy, problems
        policies.learn(guests[number], OWN_WORD, policy)
    return make_graph(guests, policies, ())


def graph_where(config: str, sayer: int, says: Mapping[str, str]) -> Graph:
    """The graph of four guests, of which one says something of itself."""
    policies = Policies(parse(config).settings(Vocabulary()))
    guests = [guest(number) for number in range(4)]
    policy, problems = read_metadata(GuestPolicy, guests[sayer], says)
    assert policy, problems
    policies.learn(guests[sayer], OWN_WORD, policy)
    return make_graph(guests, policies, ())


def needs(graph: Graph, one: int, other: int) -> bool:
    return guest(other).key in graph.needs[guest(one).key]


@pytest.mark.parametrize("says", [{"depends_on": "g0"}, {"order": "0", "depends_on": "g0"}])
def test_a_circle_by_what_a_guest_says_of_itself_costs_that_word_and_no_order_of_others(
    says: Mapping[str, str],
) -> None:
    config = "guests: [{match: g0, depends_on: g1}, {match: g1, depends_on: g2}, {match: g1, order: 7}]"
    graph = graph_where(config, 2, says)
    assert needs(graph, 0, 1)
    assert needs(graph, 1, 2)
    assert not needs(graph, 2, 0)
    (problem,) = graph.problems
    assert "what they say of themselves in their metadata is ignored" in problem.message


def test_an_order_number_that_a_guest_gives_itself_costs_no_number_of_the_configuration() -> None:
    config = "guests: [{match: g0, order: 1}, {match: g1, order: 2}, {match: g1, depends_on: g2}]"
    graph = graph_where(config, 2, {"order": "9", "depends_on": "g1"})
    ranks = {node.number for node in graph.needs[guest(1).key] if not isinstance(node, tuple)}
    assert ranks == {1}, "still behind the guest of rank 1"
    assert needs(graph, 1, 2)


def test_a_rank_that_somebody_inherits_by_what_a_guest_says_costs_no_order_of_the_configuration() -> None:
    """g2 has g1 start with the first, though g1 needs g0, which is one of the last."""
    config = "guests: [{match: g0, order: 5}, {match: g3, order: 3}, {match: g1, depends_on: g0}]"
    graph = graph_where(config, 2, {"order": "0", "depends_on": "g1"})
    assert needs(graph, 1, 0)
    assert Rank(3) in graph.needs[guest(0).key]


@pytest.mark.parametrize(
    "says",
    [
        pytest.param("[{}]".format(", ".join(f"nobody-{number}" for number in range(300))), id="names of nobody"),
        pytest.param("[{}]".format(", ".join(f"'*{number}'" for number in range(300))), id="globs"),
        pytest.param("[{}]".format(", ".join(f"'{'*g' * 9}{number}'" for number in range(80))), id="long globs"),
        pytest.param("[{}]".format(", ".join(f"{{uri: '*{number}'}}" for number in range(160))), id="URIs"),
        pytest.param("'*'", id="everybody"),
    ],
)
def test_what_all_guests_of_a_host_say_is_compared_with_names_no_more_often_than_there_is_time_for(
    says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared, covers = 0, Match.covers

    def counted(self: Match, one: Guest) -> bool:
        nonlocal compared
        compared += 1
        return covers(self, one)

    monkeypatch.setattr(Match, "covers", counted)
    monkeypatch.setattr(dependencies_module, "COMPARISONS", 40_000)
    graph_of(MANY, lambda number: {"depends_on": says.replace("'*", f"'*{number}*")})
    assert compared <= 40_000


def test_names_of_nobody_are_told_for_each_guest_by_a_few_and_their_number() -> None:
    says = "[{}]".format(", ".join(f"nobody-{number}" for number in range(300)))
    graph = graph_of(50, lambda _: {"depends_on": says})
    told = [problem.message for problem in graph.problems if problem.where == "g7"]
    assert len(told) == dependencies_module.TOLD + 1
    assert f"{300 - dependencies_module.TOLD} more names are those of no guest" in told[-1]


def test_few_names_are_compared_with_all_others_for_the_one_that_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[str]()

    def did_you_mean(name: str, _known: object) -> str:
        asked.append(name)
        return ""

    monkeypatch.setattr(dependencies_module, "did_you_mean", did_you_mean)
    graph_of(MANY, lambda number: {"depends_on": f"nobody-{number}"})
    assert 0 < len(asked) <= dependencies_module.LIKENESSES / MANY


def test_who_asks_for_too_much_costs_itself_and_neither_who_asks_for_little_nor_the_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dependencies_module, "COMPARISONS", 400)
    config = "guests: [{match: g3, depends_on: ['g1*', 'g2*']}]"
    globs = "[{}]".format(", ".join(f"'*{number}'" for number in range(400)))
    graph = graph_of(100, lambda number: {"depends_on": globs if number == 0 else "['g9?']"}, config, sayers=3)
    assert needs(graph, 1, 90)
    assert needs(graph, 2, 99)
    assert needs(graph, 3, 10)
    told = [(problem.where, problem.message) for problem in graph.problems if "too much" in problem.message]
    assert [where for where, _ in told] == ["g0"]


@pytest.mark.parametrize("says", ["'*'", "[g{next}, g{number}, 'g*']"])
def test_circles_of_all_with_all_are_cut_at_once_and_told_in_few_words(says: str) -> None:
    graph = graph_of(MANY, lambda number: {"depends_on": says.format(number=number, next=number + 1)})
    told = [problem.message for problem in graph.problems if "circle" in problem.message]
    assert 0 < len(told) <= circles.TOLD + 3
    assert max(map(len, told)) < 2000
    assert "many circles" in told[-1]


def test_circles_of_many_leave_what_the_configuration_says(tmp_path: Path) -> None:
    config = "guests: [{match: web, depends_on: [db]}]"
    hostile = [FakeGuest(f"h{number}", traits=GuestFacts(metadata={"depends_on": "'*'"})) for number in range(60)]
    web, db = FakeGuest("web", takes=3), FakeGuest("db", traits=GuestFacts(metadata={"depends_on": "['h*', web]"}))
    report = run_shutdown(tmp_path, [*hostile, db, web], config=config, reason=Reason.POWER)
    assert {one.outcome for one in report.guests} == {Outcome.STOPPED}
    assert web.asked[0][0] + 3 <= db.asked[0][0]
