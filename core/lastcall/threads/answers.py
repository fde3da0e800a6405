"""What work in a thread ends with: an answer, or what it raised. A thread whose time is over is left to itself."""

import sys
from collections.abc import Callable
from typing import Generic, TypeVar

from lastcall.formats.bounded_text import kind_name, said
from lastcall.formats.values import value
from lastcall.threads.own_code import frames_of

T = TypeVar("T")

_SWITCH_INTERVAL = 0.0002  # seconds; measured: two abandoned spinning workers slow hand-overs 30-fold at the default


class WorkerExit(Exception):
    """What the work raised was no Exception (SystemExit, KeyboardInterrupt): it ends the work, not the program.

    `frames`: where it was raised.
    """

    def __init__(self, cause: BaseException) -> None:
        self.frames = frames_of(cause)
        words = said(cause)
        super().__init__(f"{kind_name(cause)}: {words}" if words else kind_name(cause))


@value
class Raised:
    """It raised."""

    error: Exception


@value
class Returned(Generic[T]):
    """It returned."""

    value: T


def outcome_of(work: Callable[[], T]) -> Returned[T] | Raised:
    """Do the work, whatever comes of it."""
    try:
        return Returned(work())
    except (StopIteration, StopAsyncIteration) as error:  # would mean something else to a coroutine
        return Raised(RuntimeError(f"{kind_name(error)} raised"))
    except Exception as error:  # noqa: BLE001  whatever it is, it belongs to the caller
        return Raised(error)
    except BaseException as error:  # noqa: BLE001  an exit ends the work, not the program
        return Raised(WorkerExit(error))


def unwrap(outcome: Returned[T] | Raised) -> T:
    """Return what the work returned, or raise what it raised."""
    if isinstance(outcome, Raised):
        raise outcome.error
    return outcome.value


def keep_hand_overs_quick() -> None:
    """Keep hand-overs between threads quick although an abandoned worker may spin."""
    sys.setswitchinterval(_SWITCH_INTERVAL)
