"""Calls of plugins' code outside runs, where a command has asked: isolated, named and in bounded time.

Whoever asks gets an answer, an error that the plugin means (`LastcallError`), or `PluginFailed`, which says who failed,
why and where.
"""

from collections.abc import Callable, Sequence
from typing import TypeGuard, TypeVar, cast

from lastcall.errors import LastcallError, PluginFailed, in_words, whence, worded
from lastcall.formats.bounded_text import bounded
from lastcall.threads.answers import WorkerExit
from lastcall.threads.box import Box
from lastcall.threads.error_trace import trace_of
from lastcall.threads.own_code import CodeLine, OwnCode, Standpoint, frames_of, stack_text
from lastcall.threads.standard_output import lines_of
from lastcall.threads.workers import Workers

T = TypeVar("T")


def placed(error: Exception, own: OwnCode) -> str:
    """What an error says, and where in the plugin it was raised, as far as that can be told."""
    where = whence(error)[0]
    if not where and _is_of_a_text(error):
        # That was not run, and has no frame; its arguments repeat the place, and the line.
        return bounded(f"{in_words(type(error)(error.msg))}, {error.filename}:{error.lineno}")
    where = where or own.place(error.frames if isinstance(error, WorkerExit) else frames_of(error))
    words = str(error) if type(error) is WorkerExit else in_words(error)
    return bounded(f"{words}, {where}" if where else words)


def _is_of_a_text(error: Exception) -> TypeGuard[SyntaxError]:
    """Whether it says where a text is no Python."""
    return type(error) in {SyntaxError, IndentationError, TabError} and bool(cast("SyntaxError", error).filename)


def plugin_failed(called: str, own: OwnCode, error: BaseException, stood: Sequence[CodeLine] = ()) -> LastcallError:
    """The error as one of ours; `called` is the plugin as people know it. What it means to say stays as it is."""
    kind = type(error)
    if issubclass(kind, LastcallError):
        # In plain words: whoever tells them is not in a worker any more.
        return cast("LastcallError", worded(cast("Exception", error)))
    frames = error.frames if isinstance(error, WorkerExit) else stood or frames_of(error)
    where, late = own.place(frames), issubclass(kind, TimeoutError)
    words = bounded(str(error) if kind is WorkerExit else in_words(error))
    trace = stack_text(frames) if late or kind is WorkerExit else trace_of(error)
    message = f"{called} failed: {words}"
    return PluginFailed(f"{message}, {where}" if where else message, where=where, trace=trace)


async def ask_worker(workers: Workers, called: str, own: OwnCode, work: Callable[[], T], timeout: float) -> T:
    """Have a worker do some work of a plugin; raises LastcallError."""
    standpoint = Standpoint()
    try:
        return await workers.call(_named(called, own, work, standpoint), timeout=timeout)
    except TimeoutError:
        raise _overrun(called, own, timeout, standpoint) from None
    except WorkerExit as error:
        raise plugin_failed(called, own, error) from None


def ask_box(box: Box, called: str, own: OwnCode, work: Callable[[], T], timeout: float) -> T:
    """The same where no loop runs."""
    standpoint = Standpoint()
    try:
        return box.call(_named(called, own, work, standpoint), timeout=timeout)
    except TimeoutError:
        raise _overrun(called, own, timeout, standpoint) from None
    except WorkerExit as error:
        raise plugin_failed(called, own, error) from None


def _overrun(called: str, own: OwnCode, timeout: float, standpoint: Standpoint) -> LastcallError:
    return plugin_failed(called, own, TimeoutError(f"no answer within {timeout:.3g} s"), standpoint.stack())


def _named(called: str, own: OwnCode, work: Callable[[], T], standpoint: Standpoint) -> Callable[[], T]:
    def named_work() -> T:
        with standpoint, lines_of(called):
            try:
                return work()
            except Exception as error:  # noqa: BLE001  its words are made here: they are the plugin's code, too
                raise plugin_failed(called, own, error) from None

    return named_work
