"""A list of guests on a disk that is full, or hangs."""

import errno
import math
from collections.abc import Callable, Mapping
from pathlib import Path

from lastcall.persistence.state import StateFile
from simulation.workers import Late


class BadDisk(StateFile):
    """`troubles`: what the n-th write meets, `full` or `hangs`."""

    def __init__(self, folder: Path, troubles: Mapping[int, str]) -> None:
        super().__init__(folder)
        self._troubles = troubles
        self._writes = 0

    def snapshot(self) -> Callable[[], None]:
        """What writes the entries, or meets the trouble."""
        self._writes += 1
        write, trouble = super().snapshot(), self._troubles.get(self._writes)

        def meet() -> None:
            if trouble == "full":
                raise OSError(errno.ENOSPC, "No space left on device")
            raise Late(math.inf, lambda: None, lambda: None)

        return meet if trouble else write
