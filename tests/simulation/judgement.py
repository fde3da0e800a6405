"""One seed from its world to what is broken in it."""

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lastcall.errors import in_words
from simulation.creation import make_world
from simulation.history import History
from simulation.invariants import broken
from simulation.play import played

_MEMORY = Path("/dev/shm")  # what is synced there costs nothing


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is broken in the world of one seed: pairs of an invariant's name and what is wrong."""

    seed: int
    broken: tuple[tuple[str, str], ...]

    @property
    def reproduction(self) -> str:
        """The line that shows it again."""
        return f"make sim FROM={self.seed} SEEDS=1 VERBOSE=1"

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {name}: {what}" for name, what in self.broken]
        return "\n".join([*lines, f"    {self.reproduction}"])


@contextmanager
def history_of(seed: int) -> Generator[History]:
    """What happens in the world of this seed."""
    folder = Path(tempfile.mkdtemp(prefix="lastcall-sim-", dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None))
    with played(make_world(seed), folder) as history:
        yield history


def judge(seed: int) -> Judgement:
    """Play the world of this seed and hold it against all invariants."""
    try:
        with history_of(seed) as history:
            return Judgement(seed, tuple(broken(history)))
    except RuntimeError as error:  # the clock's: something waits for ever, or goes on without a pause
        return Judgement(seed, (("everything_comes_to_an_end", in_words(error)),))
