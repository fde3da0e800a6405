"""Who wants to know of hook calls: usually nobody, and then a call costs a look at that.

One for the whole process, as the variable `LASTCALL_TRACE` is the process's: plugins are loaded, and called, in more
places than one could hand it through.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from lastcall.api.guests import Guest
    from lastcall.hooks.registry import Implementation

T = TypeVar("T")


class CallOnlooker(Protocol):
    """Looks on at one call."""

    def watching(self, work: Callable[[], T], given: Mapping[str, Any]) -> Callable[[], T]:
        """The same work, with what is `given` to it."""
        ...

    def ended(self, otherwise: str = "", *, failed: bool = False) -> None:
        """It is over: it has answered, or how it has ended `otherwise`."""
        ...


class FiringOnlooker(Protocol):
    """Looks on as one hook is fired, for a guest or for the run."""

    def call(self, one: "Implementation") -> CallOnlooker:
        """An implementation is called."""
        ...

    def not_called(self, one: "Implementation", why: str) -> None:
        """An implementation is not called."""
        ...


class Onlooker(Protocol):
    """Wants to know of hook calls; nothing of it may block."""

    def loading(self, hook: str, plugin: str) -> CallOnlooker:
        """A call that belongs to no run begins: a plugin is asked what it offers."""
        ...

    def asking(self, method: str, plugin: str, guest: "Guest", clock: Callable[[], float]) -> CallOnlooker:
        """A plugin's stop method is called for a guest; `clock` is the loop's."""
        ...

    def firing(
        self, hook: str, guest: "Guest | None", ones: "Sequence[Implementation]", clock: Callable[[], float]
    ) -> FiringOnlooker:
        """A hook is fired, for these in their order; `clock` is the loop's."""
        ...


class _Nobody:
    """Implements all of them."""

    def watching(self, work: Callable[[], T], given: Mapping[str, Any]) -> Callable[[], T]:
        return work

    def ended(self, otherwise: str = "", *, failed: bool = False) -> None: ...

    def call(self, one: "Implementation") -> CallOnlooker:
        return self

    def not_called(self, one: "Implementation", why: str) -> None: ...

    def loading(self, hook: str, plugin: str) -> CallOnlooker:
        return self

    def asking(self, method: str, plugin: str, guest: "Guest", clock: Callable[[], float]) -> CallOnlooker:
        return self

    def firing(
        self,
        hook: str,
        guest: "Guest | None",
        ones: "Sequence[Implementation]",
        clock: Callable[[], float],
    ) -> FiringOnlooker:
        return self


NOBODY = _Nobody()
_PRESENT: list[Onlooker] = []


def onlooker() -> Onlooker:
    """Who looks on just now."""
    return _PRESENT[-1] if _PRESENT else NOBODY


@contextmanager
def watched_by(one: Onlooker) -> Generator[None]:
    """Whatever is loaded or put together meanwhile is looked at by this one."""
    _PRESENT.append(one)
    try:
        yield
    finally:
        _PRESENT.remove(one)
