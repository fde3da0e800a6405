"""What fails a test of a plugin: what nobody meant to happen, as production would have gone on after it."""

import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

from lastcall.errors import LastcallError
from lastcall.formats.bounded_text import kind_name

_CHAIN = 8  # errors, each from the next


class LabFailure(AssertionError):
    """The lab's own words about a test."""


class PluginUnusable(LabFailure):
    """A plugin under test, or a function or an offer of its, could not be loaded."""


class BlockedInRealTime(LabFailure):
    """A call blocked for longer than the lab's `patience`, where the lab's clock does not move: it took `run.sleep`, or
    what a guest takes, for seconds of its own.
    """

    def __init__(self, seconds: float, stack: str) -> None:
        super().__init__(
            f"a call has blocked for {seconds:.1f} s of real time; wait with run.sleep, which takes none, or give the"
            f" lab more `patience`. It stood here:\n{stack}"
        )
        self.stack = stack


class Failures:
    """What plugins under test raise that is no word of lastcall's (`Skip`, `HookFailed`, `ShellError` and so on)."""

    def __init__(self) -> None:
        self._tolerated: tuple[type[BaseException], ...] = ()
        self._files: set[str] = set()
        self._folders: tuple[str, ...] = ()
        self._found: list[BaseException] = []

    def tolerate(self, kinds: Iterable[type[BaseException]]) -> None:
        """Let these be what production makes of them: records in the report."""
        self._tolerated += tuple(kinds)

    def watch_over(self, plugin: object) -> None:
        """Count what comes out of this plugin's code, or its offer's."""
        named = (getattr(plugin, name, None) for name in dir(plugin))
        homes = [plugin, type(plugin), *(one for one in named if inspect.isroutine(one))]
        self._files |= {file for file in map(_file_of, homes) if file}
        self._folders += tuple(getattr(plugin, "__path__", ()))

    def watch_over_file(self, path: Path) -> None:
        """The same of a drop-in."""
        self._files.add(str(path))

    def see(self, error: BaseException) -> None:
        """Look at what work in a thread raises."""
        for one in _chain(error):
            if not isinstance(one, (LastcallError, TimeoutError, *self._tolerated)) and self._is_theirs(one):
                self._found.append(one)
                return

    def add(self, failure: LabFailure) -> None:
        """Count a failure of the lab's own finding."""
        self._found.append(failure)

    def tell(self) -> None:
        """Raise the first one, if there is any: what comes after it may come of it."""
        found, self._found = self._found, []
        if not found:
            return
        first = found[0]
        if not isinstance(first, LabFailure):
            kind = kind_name(first)
            first.add_note(f"A run goes on after this; a test that means it says lab.tolerates({kind}).")
        if len(found) > 1:
            first.add_note(f"{len(found) - 1} more after it.")
        raise first

    def _is_theirs(self, error: BaseException) -> bool:
        return any(file in self._files or file.startswith(self._folders) for file in _files_of(error.__traceback__))


def _file_of(one: object) -> str | None:
    try:
        return inspect.getsourcefile(inspect.unwrap(one)) if callable(one) else inspect.getsourcefile(one)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):  # it has none
        return None


def _files_of(trace: TracebackType | None) -> Iterator[str]:
    while trace is not None:
        yield trace.tb_frame.f_code.co_filename
        trace = trace.tb_next


def _chain(error: BaseException) -> Iterator[BaseException]:
    """It, and those that it came from: of what a hook raised the engine keeps the words only."""
    one: BaseException | None = error
    for _ in range(_CHAIN):
        if one is None:
            return
        yield one
        one = one.__cause__ or one.__context__
