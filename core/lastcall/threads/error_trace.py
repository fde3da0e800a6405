"""The traceback of somebody else's error as a bounded text; it is made where the error was raised, in its own time."""

import traceback

from lastcall.formats.bounded_text import TRACE_LIMIT, bounded, kind_name, said
from lastcall.formats.secret_text import masked

_CHAIN = 4  # errors, each from the next, of which it is told where they were raised,
_FRAMES = 20  # and by how many calls


def trace_of(error: BaseException) -> str:
    """Where it was raised, and those that it came from, the first one first; nothing where it lets nobody look."""
    told, size = list[str](), 0
    try:
        one: BaseException | None = error
        while one is not None and len(told) < _CHAIN and size < TRACE_LIMIT:
            # In our words, and not as `traceback` tells it: what an error was given may have no end.
            frames = traceback.format_tb(one.__traceback__, limit=-_FRAMES)
            told.append("".join([*frames, f"{kind_name(one)}: {bounded(said(one))}\n"]))
            size += len(told[-1])
            one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
        return masked(bounded("\n".join(reversed(told)), TRACE_LIMIT))
    except BaseException:  # noqa: BLE001  its attributes are somebody's code, too
        return ""


def let_go_of_frames(error: BaseException) -> None:
    """Have an error that was heeded, and those that it came from, hold no frames any more.

    A frame refers to the error that it passes on, and that to the frame: what circles stays until the collector looks.
    """
    seen = set[int]()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        BaseException.with_traceback(one, None)  # not by its own, which is somebody's code
        one = one.__cause__ or one.__context__
