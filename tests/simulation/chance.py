"""The dice that a world is made with."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Chance(random.Random):
    """Dice of one world. `oddness` (0 to 1) scales how often odd things happen: quiet worlds are easier to read."""

    def __init__(self, seed: int) -> None:
        super().__init__(f"world {seed}")
        self.oddness = self.choice((0.1, 0.3, 0.6, 1.0))

    def odd(self, probability: float) -> bool:
        """Whether something odd happens."""
        return self.random() < probability * self.oddness

    def some(self, values: Sequence[T], probability: float) -> frozenset[T]:
        """A few odd ones of these."""
        return frozenset(value for value in values if self.odd(probability))

    def seconds(self, least: float, most: float) -> float:
        """A time between these, short ones as often as long ones, to the millisecond."""
        return round(least * (most / least) ** self.random(), 3)
