"""When each guest would be asked and be off, if everybody took a given time: the run's turns on a clock that jumps."""

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field

from lastcall.api.guests import Key
from lastcall.formats.values import value
from lastcall.ordering.nodes import Edges, Node, Rank
from lastcall.ordering.queue import ParallelLimits, TurnQueue


@value
class Forecast:
    """Seconds from the start of the guests. `path`: the guests whose times add up to `total`, first to last."""

    starts: Mapping[Key, float] = field(default_factory=dict[Key, float])
    ends: Mapping[Key, float] = field(default_factory=dict[Key, float])
    path: tuple[Key, ...] = ()

    @property
    def total(self) -> float:
        """When the last guest is off."""
        return max(self.ends.values(), default=0.0)


def forecast(
    waits: Edges,
    takes: Mapping[Key, float],
    limits: ParallelLimits,
    rank: Callable[[Key], float],
    outside: Iterable[Key] = (),
) -> Forecast:
    """Play the run through. `takes` are seconds; a guest that is not in it takes none. `outside`: see `TurnQueue`."""
    alone = list(outside)
    turns = TurnQueue(waits, limits, rank, alone)
    starts: dict[Key, float] = dict.fromkeys(alone, 0.0)
    ends: dict[Key, float] = {key: takes.get(key, 0.0) for key in alone}
    because: dict[Key, Key | None] = dict.fromkeys(alone)
    moving: list[tuple[float, int, Key]] = [(ends[key], number, key) for number, key in enumerate(alone)]
    heapq.heapify(moving)
    now, last = 0.0, None
    while True:
        for key in turns.grant():
            starts[key], ends[key], because[key] = now, now + takes.get(key, 0.0), last
            heapq.heappush(moving, (ends[key], len(starts), key))
        if not moving:
            return Forecast(starts, ends, _path(ends, because))
        now, _, last = heapq.heappop(moving)
        turns.done(last)


def chains(waits: Edges, takes: Mapping[Key, float]) -> dict[Node, float]:
    """The seconds of the longest chain that begins with each node: who holds up most goes first where slots are few."""
    behind: dict[Node, list[Node]] = {node: [] for node in waits}
    left = {node: len(others) for node, others in waits.items()}
    for node, others in waits.items():
        for other in others:
            behind[other].append(node)
    order = [node for node, count in left.items() if not count]
    for node in order:  # grows while it is walked
        for other in behind[node]:
            left[other] -= 1
            if not left[other]:
                order.append(other)
    lengths: dict[Node, float] = {}
    for node in reversed(order):
        own = 0.0 if isinstance(node, Rank) else takes.get(node, 0.0)
        lengths[node] = own + max((lengths[other] for other in behind[node]), default=0.0)
    return lengths


def _path(ends: Mapping[Key, float], because: Mapping[Key, Key | None]) -> tuple[Key, ...]:
    """The chain that ends with the last guest: each began the moment the one before was off."""
    path: list[Key] = []
    key = max(ends, key=lambda one: ends[one], default=None)
    while key is not None:
        path.append(key)
        key = because[key]
    return tuple(reversed(path))
