"""One input for one reader: whether what came of it is allowed."""

import signal
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from fuzz.inputs import Maker

SECONDS = 2.0  # of the processor for one input, which a busy machine does not stretch as it does the clock's
GROWTH = 64 << 20  # bytes for one input
_MUCH = 4  # times as long, and a reader is stopped
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Reader:
    """One reader of text from outside, and what may come of it.

    `read` returns what the reader makes of an input, `holds` raises AssertionError where that is not what others rely
    on; `raises` are the errors that it may end in. `share`: how many inputs it gets, beside those of the others.
    """

    name: str
    make: Maker
    read: Callable[[bytes], Any]
    holds: Callable[[Any], object]
    raises: tuple[type[Exception], ...] = ()
    share: int = 40


@dataclass(frozen=True, slots=True)
class Fault:
    """What was not allowed. `kind` is the same for inputs that fail in the same way."""

    reader: str
    kind: str
    data: bytes

    def __str__(self) -> str:
        shown = repr(self.data[:300]) + ("…" if len(self.data) > 300 else "")
        return f"{self.reader}: {self.kind}: {len(self.data)} bytes: {shown}"


class _TooSlow(BaseException):
    """Raised into a reader that does not end."""


def judge(reader: Reader, data: bytes, *, seconds: float = SECONDS, growth: int = GROWTH) -> Fault | None:
    """Give a reader an input; returns what was wrong with what came of it."""
    fault = _judged(reader, data, seconds, growth)
    # What is imported or composed when it is needed first takes its time once, whatever the input is.
    return _judged(reader, data, seconds, growth) if fault and fault.kind.startswith("takes") else fault


def _judged(reader: Reader, data: bytes, seconds: float, growth: int) -> Fault | None:
    before, began = _memory_anew(), time.process_time()
    kind = _outcome(reader, data, seconds)
    spent, grown = time.process_time() - began, _most_memory() - before
    if not kind and spent > seconds:
        kind = f"takes more than {seconds:g} s"
    if not kind and grown > growth:
        kind = f"takes more than {growth >> 20} MiB"
    return Fault(reader.name, kind, data) if kind else None


def _outcome(reader: Reader, data: bytes, seconds: float) -> str:
    try:
        with _stopped_after(_MUCH * seconds):
            found = reader.read(data)
        reader.holds(found)
    except _TooSlow as error:
        return f"takes more than {seconds:g} s at {_place(error)}"
    except reader.raises:
        return ""
    except BaseException as error:
        return f"{type(error).__name__} at {_place(error)}"
    return ""


def _place(error: BaseException) -> str:
    """The innermost line of ours."""
    frames = [Path(one.filename) for one in traceback.extract_tb(error.__traceback__)]
    lines = [one.lineno for one in traceback.extract_tb(error.__traceback__)]
    ours = [
        f"{path.relative_to(_ROOT)}:{line}"
        for path, line in zip(frames, lines, strict=True)
        if path.is_relative_to(_ROOT) and ".venv" not in path.parts and path != Path(__file__)
    ]
    return ours[-1] if ours else "no line of ours"


@contextmanager
def _stopped_after(seconds: float) -> Generator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise _TooSlow

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _memory_anew() -> int:
    """Have the kernel forget how much memory it was at most; returns how much it is."""
    with open("/proc/self/clear_refs", "wb") as file:  # noqa: PTH123  a million times
        file.write(b"5")
    return _most_memory()


def _most_memory() -> int:
    with open("/proc/self/status", "rb") as file:  # noqa: PTH123  the same
        text = file.read()
    at = text.index(b"VmHWM:") + len(b"VmHWM:")
    return int(text[at : text.index(b"kB", at)]) << 10
