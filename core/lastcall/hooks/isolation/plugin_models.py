"""Work on models that plugins have declared, and in which those have a say: how a value is shown, what its schema is.

One that fails, hangs or leaves costs what is its own, and is named; the work is done once more without it.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from lastcall.hooks.isolation.outside_runs import plugin_failed
from lastcall.hooks.registry import Implementation, Registry
from lastcall.threads.answers import WorkerExit
from lastcall.threads.box import Box
from lastcall.threads.own_code import CodeLine, Standpoint, frames_of
from lastcall.threads.standard_output import lines_of

if TYPE_CHECKING:
    from lastcall.errors import LastcallError

T = TypeVar("T")

TIMEOUT = 5.0  # seconds; it is milliseconds
_DECLARING = ("plugin_options", "stop_methods")


class PluginModels:
    """Does such work. `failed`: the plugins that it is done without, and why."""

    def __init__(self, registry: Registry, timeout: float = TIMEOUT) -> None:
        self._registry, self._timeout, self._box = registry, timeout, Box()
        self.failed: dict[str, LastcallError] = {}

    def perform(self, work: Callable[[frozenset[str]], T]) -> T:
        """Have it done, without the plugins that it is given; raises what it raises for no plugin's sake."""
        try:
            while True:
                standpoint, without = Standpoint(), frozenset(self.failed)
                try:
                    return self._box.call(_heard(standpoint, work, without), timeout=self._timeout)
                except Exception as error:
                    late = isinstance(error, TimeoutError)
                    cause = TimeoutError(f"no answer within {self._timeout:.3g} s") if late else _cause(error)
                    frames = standpoint.stack() or _frames(cause)
                    owner = self._owner(frames)
                    if owner is None or owner.plugin in without:
                        raise
                    called = owner.position.source.called
                    self.failed[owner.plugin] = plugin_failed(called, owner.own, cause, frames)
        finally:
            self._box.close()

    def _owner(self, frames: Sequence[CodeLine]) -> Implementation | None:
        ones = chain.from_iterable(map(self._registry.implementations, _DECLARING))
        return next((one for one in ones if one.own.last_of(frames)), None)


def _heard(standpoint: Standpoint, work: Callable[[frozenset[str]], T], without: frozenset[str]) -> Callable[[], T]:
    def heard() -> T:
        with standpoint, lines_of("configuration"):
            return work(without)

    return heard


def _cause(error: Exception) -> BaseException:
    """What a plugin's code has raised: pydantic wraps what a serializer does."""
    return (error.__cause__ or error) if type(error).__name__ == "PydanticSerializationError" else error


def _frames(error: BaseException) -> Sequence[CodeLine]:
    return error.frames if isinstance(error, WorkerExit) else frames_of(error)
