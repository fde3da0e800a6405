"""What a call that failed is in the report: a verdict, words, a place and a traceback, none of them anybody's code."""

from collections.abc import Sequence
from typing import cast

from lastcall.api.results import Verdict
from lastcall.errors import (
    FAILURE_POLICIES,
    CallExpired,
    HookFailed,
    LastcallError,
    Skip,
    in_words,
    whence,
    with_remedy,
)
from lastcall.formats.bounded_text import TRACE_LIMIT, bounded, said
from lastcall.threads.answers import WorkerExit
from lastcall.threads.error_trace import trace_of
from lastcall.threads.own_code import CodeLine, OwnCode, frames_of, stack_text


class Judged(Exception):
    """A call's failure, put into words where it was made; `where` is the plugin's own `file:line`."""

    def __init__(
        self, verdict: Verdict, message: str, where: str = "", trace: str = "", asked_for: str | None = None
    ) -> None:
        super().__init__(message)
        # Cut here, where it was made: a text of many megabytes would be the loop's time, and everybody's.
        self.message, self.trace = bounded(message), bounded(trace, TRACE_LIMIT)
        self.verdict, self.where, self.asked_for = verdict, where, asked_for

    def words(self, where: str) -> str:
        """The verdict, why, and where."""
        return ", ".join(filter(None, (": ".join(filter(None, (self.verdict.value, self.message))), where)))


def judged(error: Exception, own: OwnCode, box: float, stood: Sequence[CodeLine] = ()) -> Judged:
    """The judgement on an error; `stood` are the frames of a call that did not come to its end in its `box` (seconds).

    By the very type of the error, as `isinstance` asks its own `__class__`, too.
    """
    kind, message = type(error), ""
    if issubclass(kind, Skip):
        return Judged(Verdict.SKIPPED, said(error))
    frames = cast("WorkerExit", error).frames if kind is WorkerExit else frames_of(error)
    where = own.place(stood or frames)
    if issubclass(kind, TimeoutError | CallExpired):
        message = said(error) or f"no answer within {box:.1f} s"
        return Judged(Verdict.TIMEOUT, message, where, stack_text(stood))
    if kind is WorkerExit:
        return Judged(Verdict.FAILED, said(error), where, stack_text(frames))
    if issubclass(kind, LastcallError):
        # One that another plugin has caused knows that one's place.
        _, trace = whence(error)
        return Judged(Verdict.FAILED, with_remedy(error), where, trace, _policy_of(error))
    return Judged(Verdict.FAILED, in_words(error), where, trace_of(error))


def _policy_of(error: Exception) -> str | None:
    try:
        policy = error.on_failure if isinstance(error, HookFailed) else None
    except BaseException:  # noqa: BLE001  attributes of a plugin's error are the plugin's code
        return None
    # It may have been set later, by whoever derives from HookFailed: a word that is none is not asked for.
    return policy if type(policy) is str and policy in FAILURE_POLICIES else None
