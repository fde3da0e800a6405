"""How long plugins may take to load: no import may cost the guests their last call."""

import math
import time
from collections.abc import Callable
from typing import TypeVar

from lastcall.errors import LastcallError, located
from lastcall.hooks.isolation.outside_runs import placed
from lastcall.hooks.sources import Origin, Source
from lastcall.threads.answers import WorkerExit
from lastcall.threads.box import Box
from lastcall.threads.own_code import OwnCode, Standpoint
from lastcall.threads.standard_output import lines_of
from lastcall.timing.budget import STEP

T = TypeVar("T")

IMPORT_TIMEOUT = 15.0  # seconds for one plugin's import; longer is a hang, not a slow disk
LEAST = 0.01  # seconds that are worth a try


def wording(work: Callable[[], T], own: OwnCode, source: Source) -> Callable[[], T]:
    """The same work; what it raises is put into words there and then, as that is its own time, too. They tell where in
    the plugin's `own` code it was.
    """

    def worded_work() -> T:
        try:
            with lines_of(source.name):
                return work()
        except Exception as error:  # noqa: BLE001  whatever it is, its words are the plugin's code
            raise LastcallError(placed(error, own), _remedy(error)) from None

    return worded_work


def _remedy(error: Exception) -> str:
    return getattr(error, "remedy", "") if type(error).__module__ == LastcallError.__module__ else ""


class LoadTime:
    """The time in which plugins are loaded, one after the other, each in a time box of its own.

    `ends`: the run's deadline on the monotonic clock. All together get a share of what is left of it now, and each at
    most half of what the others have left of that, so that several that hang do not keep the next one from loading. Our
    own get a share of what the deadline leaves whatever the others did: without stop methods nobody is asked.
    """

    def __init__(self, ends: float = math.inf) -> None:
        now = time.monotonic()
        self._ends, self._until = ends, now + STEP.of(ends - now)
        self._box = Box()

    def call(self, source: Source, work: Callable[[], T], own: OwnCode, timeout: float = IMPORT_TIMEOUT) -> T:
        """Let a plugin do something for at most so many seconds; raises LastcallError, which says where."""
        now = time.monotonic()
        share = STEP.of(self._ends - now) if source.origin is Origin.BUNDLED else (self._until - now) / 2
        # One that has no time is not begun: its thread would go on with it behind our back.
        if share < LEAST:
            raise TimeoutError("no time was left for it")
        standpoint = Standpoint()
        try:
            return self._box.call(standpoint.watching(wording(work, own, source)), timeout=min(timeout, share))
        except TimeoutError as error:
            located(error, own.place(standpoint.stack()))
            raise LastcallError(placed(error, own)) from None
        except WorkerExit as error:
            raise LastcallError(placed(error, own)) from None

    def close(self) -> None:
        """Everything is loaded."""
        self._box.close()
