"""Where somebody's code is, or was when it failed: the frames of an error or of a thread, and which of them are whose.

No file is read for it: a disk that does not answer must not hold up who asks where something hangs.
"""

import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any, TypeVar

from lastcall.formats.values import value

T = TypeVar("T")

MOST = 200  # frames that are looked at, the innermost
TOLD = 20  # frames of a stack that are told


@value
class CodeLine:
    """One call: its file, the line in it, the function and the module."""

    file: str
    line: int
    function: str
    module: str

    @property
    def place(self) -> str:
        """`file:line`."""
        return f"{self.file}:{self.line}"


class OwnCode:
    """The code of one plugin: everything in the package (or the module) that a thing of it comes from.

    The thing is a function, a class, an instance or a module; or the name of one that is not there yet.
    """

    def __init__(self, thing: object) -> None:
        self._thing = thing

    @property
    def root(self) -> str:
        """The name of that package, or "" where the thing is no more than ours."""
        name = _module_name(self._thing)
        parts = name.split(".")
        for end in range(1, len(parts)):
            package = ".".join(parts[:end])
            # A namespace, which several distributions share, has no file.
            if getattr(sys.modules.get(package), "__file__", None):
                name = package
                break
        return "" if name == "lastcall" else name

    def last_of(self, frames: Sequence[CodeLine]) -> str:
        """`file:line` of the innermost frame that is the plugin's own; "" where none is."""
        root = self.root
        own = [one for one in frames if root and f"{one.module}.".startswith(f"{root}.")]
        return own[-1].place if own else ""

    @property
    def definition(self) -> str:
        """`file:line` at which the thing itself is defined, where it is a function."""
        try:
            function: Any = getattr(self._thing, "__func__", self._thing)
            code = inspect.unwrap(function).__code__
        except Exception:  # noqa: BLE001  somebody else's attributes
            return ""
        return f"{code.co_filename}:{code.co_firstlineno}" if self.root else ""

    def place(self, frames: Sequence[CodeLine]) -> str:
        """The innermost frame of its own, or where the function is defined; "" for what is no Python of theirs."""
        return self.last_of(frames) or self.definition


class Standpoint:
    """Where the thread is that does a piece of work, for as long as it does it; asked from any other thread."""

    def __init__(self) -> None:
        self._thread: int | None = None

    def __enter__(self) -> None:
        self._thread = threading.get_ident()

    def __exit__(self, *_: object) -> None:
        self._thread = None

    def watching(self, work: Callable[[], T]) -> Callable[[], T]:
        """The same work, of which it is known from now on where it is."""

        def watched() -> T:
            with self:
                return work()

        return watched

    def stack(self) -> Sequence[CodeLine]:
        """The frames, the innermost last; none where the work has not begun, or is over."""
        thread = self._thread
        # A thread that asks about itself would be told where it asks.
        if thread is None or thread == threading.get_ident():
            return ()
        # There is no other door to it.
        return _outwards(sys._current_frames().get(thread))  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def frames_of(error: BaseException) -> Sequence[CodeLine]:
    """Where an error was raised, the innermost last; none where it lets nobody look."""
    try:
        return [*_down(error)][-MOST:]
    except BaseException:  # noqa: BLE001  its attributes may be somebody's code
        return ()


def foreign_place(frames: Sequence[CodeLine]) -> str:
    """`file:line` of the innermost frame that is neither ours, nor Python's, nor pydantic's, whoever's it is."""
    ours = (*sys.stdlib_module_names, "lastcall", "pydantic", "pydantic_core", "")
    found = [one for one in frames if one.module.partition(".")[0] not in ours]
    return found[-1].place if found else ""


def stack_text(frames: Sequence[CodeLine]) -> str:
    """Frames as Python tells them, without the text of the lines."""
    return "".join(f'  File "{one.file}", line {one.line}, in {one.function}\n' for one in frames[-TOLD:])


def _down(error: BaseException) -> Iterator[CodeLine]:
    step = error.__traceback__
    while step is not None:
        yield _frame(step.tb_frame, step.tb_lineno)
        step = step.tb_next


def _outwards(frame: FrameType | None) -> Sequence[CodeLine]:
    found = list[CodeLine]()
    while frame is not None and len(found) < MOST:
        found.append(_frame(frame, frame.f_lineno))
        frame = frame.f_back
    return found[::-1]


def _frame(frame: FrameType, line: int | None) -> CodeLine:
    name = frame.f_globals.get("__name__")
    return CodeLine(frame.f_code.co_filename, line or 0, frame.f_code.co_name, name if isinstance(name, str) else "")


def _module_name(thing: object) -> str:
    """The module of a function, class, module or instance; what it says may be anything."""
    if isinstance(thing, str):
        return thing
    try:
        name = thing.__name__ if inspect.ismodule(thing) else getattr(thing, "__module__", None)
    except BaseException:  # noqa: BLE001  somebody else's attributes
        return ""
    return name if isinstance(name, str) else ""
