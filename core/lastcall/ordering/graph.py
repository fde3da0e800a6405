"""Who needs whom: `depends_on` and `order` of all guests in one graph, without cycles.

An order number stands for a rank: a guest of one rank needs all guests of the lower ranks. A guest without a number
takes the lowest of those who need it, so that an explicit dependency never contradicts somebody's number; one that
nobody with a number needs comes after all ranks, as with Proxmox.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import TypeAlias

from lastcall.api.guests import Guest, Key
from lastcall.config.guest_settings import GuestPolicy, Match
from lastcall.errors import Problem
from lastcall.formats.nearest import did_you_mean
from lastcall.formats.values import value

_GLOB = frozenset("*?[")
_LAST = float("inf")  # the rank of guests without a number


@dataclass(frozen=True, slots=True)
class Rank:
    """All guests with this order number: a node that stands for them, so that n × n edges become n + n.

    `call`: those of latecomers are others than those of the guests before them, see `TurnQueue.add`.
    """

    number: float
    call: int = 0


Node: TypeAlias = Key | Rank
Edges: TypeAlias = Mapping[Node, Collection[Node]]


@value
class Graph:
    """`needs`: what each node needs, free of cycles. `problems`: cycles that were cut and names that match nothing."""

    needs: Edges = field(default_factory=dict[Node, Collection[Node]])
    problems: tuple[Problem, ...] = ()

    @property
    def needed_by(self) -> Edges:
        """The same the other way round: whom each node waits for in a shutdown."""
        # libvirt-guests stops in the order in which it starts: the storage goes before those that write to it.
        turned: dict[Node, set[Node]] = {node: set() for node in self.needs}
        for node, needed in self.needs.items():
            for one in needed:
                turned[one].add(node)
        return turned


def make_graph(guests: Sequence[Guest], policy_of: Callable[[Guest], GuestPolicy], others: Iterable[str]) -> Graph:
    """Build the graph. `others` are names of guests that exist but have no part in the run; they need no edge."""
    names = {guest.key: guest.name for guest in guests}
    policies = {guest.key: policy_of(guest) for guest in guests}
    finder = _Finder(guests, frozenset(others))
    needs: dict[Node, set[Node]] = {}
    for guest in guests:
        needs[guest.key] = finder.needed(guest, policies[guest.key].depends_on)
    _add_ranks(needs, {key: policy.order for key, policy in policies.items()})
    # Reported and cut instead of refused: a mistake in the settings must not keep a host stop from anybody.
    cut = [_cut(needs, cycle, names) for cycle in _cycles(needs)]
    return Graph(needs, (*finder.problems, *cut))


class _Finder:
    """Finds the guests that a dependency means, each pattern once."""

    def __init__(self, guests: Sequence[Guest], others: frozenset[str]) -> None:
        self._guests = guests
        self._others = others
        self._by_name: dict[str, list[Guest]] = defaultdict(list)
        for guest in guests:
            self._by_name[guest.name].append(guest)
        self._found: dict[Match, frozenset[Key]] = {}
        self.problems: list[Problem] = []

    def needed(self, guest: Guest, wanted: Iterable[Match]) -> set[Node]:
        found: set[Node] = set()
        for match in wanted:
            if match not in self._found:
                self._found[match] = frozenset(one.key for one in self._candidates(match) if match.covers(one))
                if not self._found[match]:
                    self._report(guest, match)
            own = match.name == guest.name  # a guest that names itself is a cycle, one that its own glob covers is not
            found |= self._found[match] if own else self._found[match] - {guest.key}
        return found

    def _candidates(self, match: Match) -> Sequence[Guest]:
        if match.name is None or _GLOB & set(match.name):
            return self._guests
        return self._by_name.get(match.name, ())

    def _report(self, guest: Guest, match: Match) -> None:
        if any(match.covers(Guest(uri=match.uri or "", uuid=match.uuid or "", name=name)) for name in self._others):
            return  # it exists and does not run: nothing to wait for
        wanted = match.name or match.uuid or match.uri or "?"
        hint = did_you_mean(wanted, [*self._by_name, *self._others])
        self.problems.append(
            Problem(
                what="order",
                where=guest.name,
                message=f"depends_on: no guest is called {wanted!r}{hint}",
                remedy="it is ignored; `virsh list --all` shows the names",
            )
        )


def _add_ranks(needs: dict[Node, set[Node]], orders: Mapping[Key, int | None]) -> None:
    ranks = _ranks(needs, orders)
    numbers = sorted(set(ranks.values()))
    members: dict[float, set[Node]] = {number: set() for number in numbers}
    for key, number in ranks.items():
        members[number].add(key)
    for lower, number in pairwise(numbers):
        needs[Rank(lower)] = members[lower]
        for key in members[number]:
            needs[key].add(Rank(lower))


def _ranks(needs: Mapping[Node, set[Node]], orders: Mapping[Key, int | None]) -> dict[Node, float]:
    """Each guest's rank: its own number, or the lowest of those who need it; nothing where nobody has a number."""
    ranks: dict[Node, float] = {key: number for key, number in orders.items() if number is not None}
    if not ranks:
        return {}
    # Lowest number first, and a rank once given stays: so whoever is needed gets the lowest of those who need it.
    for key, number in sorted(ranks.items(), key=lambda item: item[1]):
        heirs = [key]
        while heirs:
            for needed in needs[heirs.pop()]:
                if needed not in ranks:
                    ranks[needed] = number
                    heirs.append(needed)
    return {key: ranks.get(key, _LAST) for key in needs}


def _cycles(needs: dict[Node, set[Node]]) -> Iterable[list[Node]]:
    """Yield one cycle after the other, each first needed by the second and so on; the consumer cuts it."""
    while True:
        try:
            # Anew after each cut, as graphlib tells of one cycle only.
            TopologicalSorter(needs).prepare()
        except CycleError as error:
            yield error.args[1]
        else:
            return


def _cut(needs: dict[Node, set[Node]], cycle: list[Node], names: Mapping[Key, str]) -> Problem:
    """Drop the edges of a cycle; where order numbers have a part in it only those, as a dependency is more explicit."""
    edges = list(pairwise(cycle))
    by_number = [(needed, node) for needed, node in edges if isinstance(needed, Rank)]
    for needed, node in by_number or edges:
        needs[node].discard(needed)
    circle = " → ".join(_name_of(node, names) for node in reversed(cycle))
    dropped = "the order numbers in it are" if by_number else "its dependencies are"
    return Problem(
        what="order",
        where=_name_of(cycle[-1], names),
        message=f"each of these needs the next, in a circle: {circle}; {dropped} ignored",
        remedy="take one of the dependencies or numbers out",
    )


def names_of(nodes: Iterable[Node], names: Mapping[Key, str]) -> tuple[str, ...]:
    """Nodes as a reader knows them, by name."""
    return tuple(sorted(_name_of(node, names) for node in nodes))


def _name_of(node: Node, names: Mapping[Key, str]) -> str:
    return f"(order {node.number:g})" if isinstance(node, Rank) else names[node]
