"""How long plugins may take to load: no import may cost the guests their last call."""

import math
import time
from collections.abc import Callable
from typing import TypeVar

from lastcall.errors import ConfigInvalid, LastcallError, Problem, located
from lastcall.hooks.isolation.outside_runs import placed
from lastcall.hooks.sources import Origin, Source
from lastcall.threads.answers import WorkerExit
from lastcall.threads.box import Box
from lastcall.threads.own_code import OwnCode, Standpoint, foreign_place
from lastcall.threads.standard_output import lines_of
from lastcall.timing.budget import STEP

T = TypeVar("T")

IMPORT_TIMEOUT = 15.0  # seconds for one plugin's import; longer is a hang, not a slow disk
JUDGING = 1.0  # seconds for a whole configuration, which is milliseconds
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
            raise LastcallError("no time was left for it", "it takes a longer deadline")
        standpoint = Standpoint()
        try:
            return self._box.call(standpoint.watching(wording(work, own, source)), timeout=min(timeout, share))
        except LastcallError:
            raise
        except Exception as error:  # noqa: BLE001  an exit, no answer in time, or no thread to be had: it costs that plugin
            stack = standpoint.stack()
            raise LastcallError(placed(located(error, own.place(stack)) if stack else error, own)) from None

    def judge(self, work: Callable[[], T], file: str) -> T:
        """Have a configuration judged, in which validators of plugins have a say: those may hang, or leave.

        Raises what the work raises, and ConfigInvalid where it does not come to its end.
        """
        standpoint = Standpoint()
        # Not begun it would cost the whole configuration: what is milliseconds gets a moment in any case.
        share = max(JUDGING, STEP.of(self._ends - time.monotonic()))
        try:
            return self._box.call(standpoint.watching(work), timeout=min(IMPORT_TIMEOUT, share))
        except WorkerExit as error:
            why, frames = str(error), error.frames
        except TimeoutError as error:
            why, frames = str(error), standpoint.stack()
        finally:
            self._box.close()
        where = foreign_place(frames)
        message = f"cannot be used: {why}, {where}" if where else f"cannot be used: {why}"
        remedy = "a bug of the plugin whose code that is: add it to hooks.block"
        raise ConfigInvalid([Problem(what="config", where=file, message=message, remedy=remedy)])

    def close(self) -> None:
        """Everything is loaded."""
        self._box.close()
