"""Whose turn it is: the graph and the limits, without a clock; the forecast and the run use the same."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field

from lastcall.api.guests import Key
from lastcall.formats.values import value
from lastcall.ordering.nodes import Edges, Node, Rank


@value
class ParallelLimits:
    """How many guests may move at once, of all and of single connections (by URI); 0 = no limit."""

    parallel: int = 0
    connections: Mapping[str, int] = field(default_factory=dict[str, int])

    def for_uri(self, uri: str) -> int:
        """The limit of one connection."""
        return self.connections.get(uri, 0)


class TurnQueue:
    """Hands out turns: to guests that wait for nobody any more, the one of the lowest `rank` first.

    `outside`: guests that move without us. They get no turn, and take nobody's place; whoever waits for them goes on
    when it is said that they are done.
    """

    def __init__(
        self, waits: Edges, limits: ParallelLimits, rank: Callable[[Key], float], outside: Iterable[Key] = ()
    ) -> None:
        self._limits = limits
        self._rank = rank
        self._outside = set[Node]()
        self._left: dict[Node, set[Node]] = {}
        self._behind: dict[Node, list[Node]] = {}
        self._free: list[tuple[float, int, Key]] = []
        self._moving: set[Key] = set()
        self._by_uri: Counter[str] = Counter()
        self._done: set[Node] = set()
        self._count = 0
        self._calls = 0
        self.add(waits, outside)

    def add(self, waits: Edges, outside: Iterable[Key] = ()) -> None:
        """Let further guests take part; one that is done already takes part anew, and one that waits waits for these.

        They may wait for guests of an earlier call, too, as long as those are not through.
        """
        self._outside.update(outside)
        # A rank is one of this call: with the node of an earlier one those would be forgotten that wait behind it.
        number, self._calls = self._calls, self._calls + 1
        waits = {
            _of_call(node, number): {_of_call(other, number) for other in others} for node, others in waits.items()
        }
        self._done -= waits.keys()
        for node, others in waits.items():
            # Of an earlier call some are through, and will not say so a second time.
            self._left[node] = {other for other in others if other in waits or self._takes_part(other)}
            self._behind[node] = [other for other in self._behind.get(node, ()) if other not in waits]
        for node in waits:
            for other in self._left[node]:
                self._behind[other].append(node)
        for node in [node for node in waits if not self._left[node]]:
            self._release(node)

    def _takes_part(self, node: Node) -> bool:
        return node in self._left and (node not in self._done or bool(self._left[node]))

    def grant(self) -> list[Key]:
        """Give turns to all that may move now."""
        granted: list[Key] = []
        held_back: list[tuple[float, int, Key]] = []
        while self._free and self._room(self._limits.parallel, len(self._moving)):
            entry = heapq.heappop(self._free)
            key = entry[2]
            # Who went off while queueing gets no turn: it would take a slot that nobody gives back. Nor does one that
            # waits for latecomers since.
            if key in self._done or key in self._moving or self._left[key]:
                continue
            if not self._room(self._limits.for_uri(key[0]), self._by_uri[key[0]]):
                # Passed over, not waited for: behind it may be guests of a connection that has room.
                held_back.append(entry)
                continue
            self._moving.add(key)
            self._by_uri[key[0]] += 1
            granted.append(key)
        for entry in held_back:
            heapq.heappush(self._free, entry)
        return granted

    def step_aside(self, key: Key) -> None:
        """Take a turn back from a guest that waits for something else: another may move in its place."""
        if key in self._moving:
            self._moving.discard(key)
            self._by_uri[key[0]] -= 1

    def line_up(self, key: Key) -> None:
        """Let a guest that has stepped aside queue again, unless it is done."""
        if key not in self._done:
            self._release(key)

    def done(self, node: Node) -> None:
        """Let those go on that waited for it; where it went before its turn, once those are done that it waited for."""
        if node in self._done:
            return
        self._done.add(node)
        if not isinstance(node, Rank):
            self.step_aside(node)
        if not self._left.get(node):
            self._pass_on(node)

    def _pass_on(self, node: Node) -> None:
        for other in self._behind.get(node, ()):
            left = self._left[other]
            left.discard(node)
            if not left:
                self._release(other)

    def _release(self, node: Node) -> None:
        """Nobody is left that it waits for."""
        if isinstance(node, Rank):
            self.done(node)
        elif node in self._done:
            # One that went off by itself had those let go that it was to wait for, with those that wait for it.
            self._pass_on(node)
        elif node not in self._outside:
            self._count += 1  # equals keep their order
            heapq.heappush(self._free, (self._rank(node), self._count, node))

    @staticmethod
    def _room(limit: int, taken: int) -> bool:
        return not limit or taken < limit


def _of_call(node: Node, number: int) -> Node:
    return Rank(node.number, number) if isinstance(node, Rank) else node
