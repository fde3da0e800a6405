"""Guests that need each other in circles: some of what they need is left out, and told of.

Reported and cut instead of refused: a mistake in the settings must not keep a host stop from anybody.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import TypeAlias

from lastcall.api.guests import Key
from lastcall.errors import Problem
from lastcall.formats.bounded_text import first_names
from lastcall.ordering.nodes import Node, Rank, name_of

TOLD = 20  # circles that are told, and cut, one by one: each takes a walk through all of them
LARGE = 2000  # edges of circles above which they are cut at once: guests that all need all others make millions
NAMED = 10  # guests of those that are cut at once, told by name
Needs: TypeAlias = dict[Node, set[Node]]
Edge: TypeAlias = tuple[Node, Node]  # the second needs the first
REMEDY = "take one of the dependencies or numbers out"


class Circles:
    """Cuts all circles of a graph.

    What a guest says of itself goes first, so that it spoils nobody else's order; then order numbers, as a dependency
    is more explicit.
    """

    def __init__(self, needs: Needs, names: Mapping[Key, str]) -> None:
        self._needs, self._names = needs, names
        self._told = 0

    def cut(self, is_own_word: Callable[[Edge], bool]) -> Iterator[Problem]:
        """Cut those that are there now; yields what was wrong. `is_own_word`: see `make_graph`."""
        while core := self._core():
            inside = {node: self._needs[node] & core for node in core}
            if self._told < TOLD and sum(map(len, inside.values())) <= LARGE:
                self._told += 1
                yield self._cut_one(_circle(inside), is_own_word)
            else:
                yield self._cut_all(inside, is_own_word)

    def _core(self) -> set[Node]:
        """The nodes in circles, and between two of them."""
        blocked = _blocked(self._needs)
        if not blocked:
            return set()
        turned: Needs = {node: set() for node in blocked}
        for node in blocked:
            for needed in self._needs[node] & blocked:
                turned[needed].add(node)
        return _blocked(turned)

    def _cut_one(self, circle: Sequence[Node], is_own_word: Callable[[Edge], bool]) -> Problem:
        dropped = self._drop(list(pairwise(circle)), is_own_word)
        told = " → ".join(name_of(node, self._names) for node in reversed(circle))
        message = f"each of these needs the next, in a circle: {told}; {dropped}"
        return Problem(what="order", where=name_of(circle[-1], self._names), message=message, remedy=REMEDY)

    def _cut_all(self, inside: Needs, is_own_word: Callable[[Edge], bool]) -> Problem:
        edges = [(needed, node) for node, all_needed in inside.items() for needed in all_needed]
        names = sorted(self._names[node] for node in inside if not isinstance(node, Rank))
        dropped = self._drop(edges, is_own_word)
        message = f"these need each other in many circles: {first_names(names, NAMED)}; {dropped}"
        return Problem(what="order", where=next(iter(names), "order"), message=message, remedy=REMEDY)

    def _drop(self, edges: Sequence[Edge], is_own_word: Callable[[Edge], bool]) -> str:
        """Drop those of them that count least; says which."""
        own = [edge for edge in edges if is_own_word(edge)]
        by_number = [(needed, node) for needed, node in edges if isinstance(needed, Rank)]
        for needed, node in own or by_number or edges:
            self._needs[node].discard(needed)
        if own:
            return "what they say of themselves in their metadata is ignored"
        return "the order numbers in it are ignored" if by_number else "its dependencies are ignored"


def _blocked(edges: Mapping[Node, set[Node]]) -> set[Node]:
    """The nodes that are in circles, or need some that are."""
    sorter = TopologicalSorter(edges)
    with suppress(CycleError):  # it goes on as far as the circles let it
        sorter.prepare()
    blocked = set(edges)
    while ready := sorter.get_ready():
        blocked.difference_update(ready)
        sorter.done(*ready)
    return blocked


def _circle(edges: Mapping[Node, set[Node]]) -> list[Node]:
    """One circle, each first needed by the second and so on."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return error.args[1]
    return []
