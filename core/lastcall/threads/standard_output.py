"""Standard output, which belongs to the command: what code of others prints on the way is told in lines elsewhere.

Whoever prints is known by the thread: the main thread is the command, unless it says that others are at work in it, and
every other one is theirs. Programs that they start have descriptor 1, which is standard error from `take` on.
"""

import io
import os
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any

from lastcall.formats.secret_text import masked
from lastcall.formats.visible_text import visible

OUTPUT, ERROR = 1, 2
_LONGEST = 8192  # characters of a line that is never ended
Say = Callable[[str], object]


class OutputLost(OSError):
    """Standard output does not take what a command prints: its disk is full, or its terminal gone."""


class _Here(threading.local):
    """Who is told what is printed in this thread, and the line that has not ended yet."""

    say: Say | None = None
    begun: str = ""


# Of the process, as its descriptors are.
_HERE = _Here()
_OURS: list[int] = []  # the descriptor that leads where 1 did, once it is taken


class Heard:
    """`with Heard(say):` what is printed in this thread meanwhile is said, line by line."""

    __slots__ = ("_before", "_say")

    def __init__(self, say: Say) -> None:
        self._say = say
        self._before: tuple[Say | None, str] = None, ""

    def __enter__(self) -> None:
        self._before = _HERE.say, _HERE.begun
        _HERE.say, _HERE.begun = self._say, ""

    def __exit__(self, *_: object) -> None:
        rest = _HERE.begun
        _HERE.say, _HERE.begun = self._before
        if rest:
            self._say(rest)


def lines_of(name: str) -> Heard:
    """What is printed is said on standard error, with the name of whoever has printed it."""
    return Heard(lambda line: _tell(f"{name}: {line}"))


class CommandOutput(io.TextIOWrapper):
    """Standard output as Python knows it, for the command; others who write to it are heard."""

    def write(self, text: str, /) -> int:
        """Write it, or have it heard."""
        if _is_the_commands():
            with _told():
                return super().write(text)
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]  by this click knows a stream of texts
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        _hear(text)
        return len(text)

    def flush(self) -> None:
        """Write what waits; raises OutputLost where nothing takes it."""
        with _told():
            super().flush()

    def fileno(self) -> int:
        """The descriptor, which to others is that of the programs that they start."""
        return super().fileno() if _is_the_commands() else OUTPUT

    @property
    def buffer(self) -> Any:
        """The same for bytes."""
        return super().buffer if _is_the_commands() else _HeardBytes()


@contextmanager
def _told() -> Generator[None]:
    """A disk that is full is no bug; a reader who has read enough is no failure either, and known by its own error."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputLost(error.errno, (error.strerror or str(error)).lower()) from None


class _HeardBytes(io.RawIOBase):
    """Bytes that others print."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        _hear(bytes(data).decode("utf-8", "replace"))
        return len(data)

    def fileno(self) -> int:
        return OUTPUT


def take() -> None:
    """Keep standard output for the command, from here to the end of the program; once, on the main thread."""
    old = sys.stdout
    old.flush()
    _OURS.append(os.dup(OUTPUT))  # no program inherits it
    os.dup2(ERROR, OUTPUT)
    sys.stdout = CommandOutput(
        os.fdopen(_OURS[-1], "wb", closefd=False),
        encoding=old.encoding,
        errors="backslashreplace",  # a terminal without the letter is to show what it can
        line_buffering=getattr(old, "line_buffering", False),
    )


def descriptor() -> int:
    """The descriptor of standard output, for those who write past Python's file."""
    return _OURS[-1] if _OURS else OUTPUT


@contextmanager
def lent() -> Generator[None]:
    """Programs that are started meanwhile have standard output: the command is a plugin's own."""
    if not _OURS:
        yield
        return
    sys.stdout.flush()
    os.dup2(_OURS[-1], OUTPUT)
    try:
        yield
    finally:
        with suppress(OutputLost):  # as it ends, the program tells of that
            sys.stdout.flush()
        os.dup2(ERROR, OUTPUT)


@contextmanager
def withheld() -> Generator[None]:
    """They have it not, for a while in which others are at work behind such a command."""
    before = os.dup(OUTPUT) if _OURS else None
    if before is not None:
        sys.stdout.flush()
        os.dup2(ERROR, OUTPUT)
    try:
        yield
    finally:
        if before is not None:
            os.dup2(before, OUTPUT)
            os.close(before)


def _is_the_commands() -> bool:
    return _HERE.say is None and threading.current_thread() is threading.main_thread()


def _hear(text: str) -> None:
    say = _HERE.say or _tell
    *lines, _HERE.begun = f"{_HERE.begun}{text}".split("\n")
    for line in lines:
        say(line)
    if len(_HERE.begun) > _LONGEST:
        line, _HERE.begun = _HERE.begun, ""
        say(line)


def _tell(line: str) -> None:
    # Past Python's file: whoever hangs in it has its lock, and would hang everybody else.
    data = f"{visible(masked(line))}\n".encode("utf-8", "backslashreplace")
    try:
        os.write(ERROR, data)
    except OSError:  # nobody listens
        return
