"""Order numbers as edges: a guest of one rank needs all guests of the lower ranks.

A guest without a number takes the lowest of those who need it, so that an explicit dependency never contradicts
somebody's number; one that nobody with a number needs comes after all ranks, as with Proxmox.
"""

from collections.abc import Collection, Mapping
from itertools import pairwise

from lastcall.api.guests import Key
from lastcall.formats.values import value
from lastcall.ordering.nodes import Node, Rank

_LAST = float("inf")  # the rank of guests without a number


@value
class OwnWords:
    """Whose dependencies, and whose order numbers, are what the guests say of themselves in their metadata."""

    needs: Collection[Key]
    orders: Collection[Key]


def add_ranks(needs: dict[Node, set[Node]], orders: Mapping[Key, int | None], own: OwnWords) -> Collection[Node]:
    """Add the ranks of these order numbers to what each guest needs; returns whose rank comes from own words.

    Who is not in `orders` has no part in it.
    """
    ranks, doubtful = _ranks(needs, orders, own)
    numbers = sorted(set(ranks.values()))
    members: dict[float, set[Node]] = {number: set() for number in numbers}
    for key, number in ranks.items():
        members[number].add(key)
    for lower, number in pairwise(numbers):
        needs[Rank(lower)] = members[lower]
        for key in members[number]:
            needs[key].add(Rank(lower))
    return doubtful


def _ranks(
    needs: Mapping[Node, set[Node]], orders: Mapping[Key, int | None], own: OwnWords
) -> tuple[dict[Node, float], set[Node]]:
    """Each guest's rank: its own number, or the lowest of those who need it; nothing where nobody has a number."""
    ranks: dict[Node, float] = {key: number for key, number in orders.items() if number is not None}
    doubtful: set[Node] = {key for key in ranks if key in own.orders}
    if not ranks:
        return {}, doubtful
    # Lowest number first, and a rank once given stays: so whoever is needed gets the lowest of those who need it.
    for key, number in sorted(ranks.items(), key=lambda item: item[1]):
        heirs = [key]
        while heirs:
            heir = heirs.pop()
            for needed in needs[heir]:
                if needed not in ranks:
                    ranks[needed] = number
                    heirs.append(needed)
                    if heir in doubtful or heir in own.needs:
                        doubtful.add(needed)
    return {key: ranks.get(key, _LAST) for key in orders}, doubtful
