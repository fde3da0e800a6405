"""Who needs whom: `depends_on` and `order` of all guests in one graph, without circles."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import field

from lastcall.api.guests import Guest
from lastcall.config.policies import Policies
from lastcall.config.policy.management import is_watched
from lastcall.errors import Problem
from lastcall.formats.values import value
from lastcall.ordering.circles import Circles, Edge
from lastcall.ordering.dependencies import Dependencies
from lastcall.ordering.nodes import Edges, Node, Rank
from lastcall.ordering.ranks import OwnWords, add_ranks


@value
class Graph:
    """`needs`: what each node needs, free of circles. `problems`: circles that were cut, and names of nobody."""

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


def make_graph(guests: Sequence[Guest], policies: Policies, others: Iterable[str], *, all_known: bool = True) -> Graph:
    """Build the graph. `others` are names of guests that exist but have no part in the run; they need no edge.

    `all_known`: there are no more guests than these.
    """
    own = OwnWords(
        {guest.key for guest in guests if policies.is_own_word(guest, "depends_on")},
        {guest.key for guest in guests if policies.is_own_word(guest, "order")},
    )
    dependencies = Dependencies(guests, policies, others, limited=own.needs, all_known=all_known)
    needs: dict[Node, set[Node]] = {key: set(needed) for key, needed in dependencies.find().items()}
    circles = Circles(needs, {guest.key: guest.name for guest in guests})
    # Before ranks are handed down by what is left out here.
    problems = [*dependencies.problems, *circles.cut(lambda edge: edge[1] in own.needs)]
    # Numbers are those of one host: a neighbour's guests without any would be ahead of all that have one here.
    ours = [guest for guest in guests if not is_watched(policies.of(guest))]
    doubtful = add_ranks(needs, {guest.key: policies.of(guest).order for guest in ours}, own)
    problems += circles.cut(lambda edge: _is_own_word(edge, own, doubtful))
    return Graph(needs, tuple(problems))


def _is_own_word(edge: Edge, own: OwnWords, doubtful: Collection[Node]) -> bool:
    """Whether an edge is there by what a guest says of itself: its dependency, or a rank that comes from its words."""
    needed, node = edge
    if isinstance(node, Rank):
        return needed in doubtful
    return node in doubtful if isinstance(needed, Rank) else node in own.needs
