"""What the order is made of: guests, and ranks that stand for all guests of an order number."""

from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import TypeAlias

from lastcall.api.guests import Key
from lastcall.formats.values import value


@value
class Rank:
    """All guests with this order number: a node that stands for them, so that n × n edges become n + n.

    `call`: those of latecomers are others than those of the guests before them, see `TurnQueue.add`.
    """

    number: float
    call: int = 0


Node: TypeAlias = Key | Rank
Edges: TypeAlias = Mapping[Node, Collection[Node]]


def without(waits: Edges, gone: AbstractSet[Node]) -> Edges:
    """Leave these nodes out; who waits for one of them waits for whom it would have waited for, too."""
    kept: dict[Node, Collection[Node]] = {}
    for node in waits.keys() - gone:
        found, ahead = set(waits[node]), [other for other in waits[node] if other in gone]
        while ahead:
            further = set(waits.get(ahead.pop(), ())) - found
            found |= further
            ahead += further & gone
        kept[node] = found
    return kept


def reached(nodes: Iterable[Node], edges: Mapping[Node, Iterable[Node]]) -> set[Node]:
    """What can be reached from these, by the edges."""
    found, ahead = set[Node](), list(nodes)
    while ahead:
        new = set(edges.get(ahead.pop(), ())) - found
        found |= new
        ahead += new
    return found


def names_of(nodes: Iterable[Node], names: Mapping[Key, str]) -> tuple[str, ...]:
    """Nodes as a reader knows them, by name."""
    return tuple(sorted(name_of(node, names) for node in nodes))


def name_of(node: Node, names: Mapping[Key, str]) -> str:
    """One of them as a reader knows it."""
    return f"(order {node.number:g})" if isinstance(node, Rank) else names[node]
