"""What a worker does for a request: the plugin's stop method, whose words and errors are made here, in its own time."""

from collections.abc import Callable
from typing import Any

from lastcall.api.stopping import StopMethod, StopRequest
from lastcall.errors import LastcallError, located, worded
from lastcall.formats.bounded_text import bounded
from lastcall.records.said_lines import CallLines
from lastcall.threads.error_trace import trace_of
from lastcall.threads.own_code import OwnCode, frames_of
from lastcall.threads.standard_output import Heard


class Unfit(LastcallError):
    """The method is no use for this guest; nothing was sent."""


def why_unfit(method: StopMethod[Any], call: StopRequest[Any], said: CallLines) -> str:
    """What the method says, as plain text: its answer may be code of its own."""
    with Heard(said.say):
        why = method.unfit_with(call)
        return bounded(str(why)) if why else ""


def require_fit(method: StopMethod[Any], call: StopRequest[Any], said: CallLines) -> None:
    """Raise Unfit where the method is of no use, and what it fails with."""
    try:
        why = why_unfit(method, call, said)
    except Exception as error:  # noqa: BLE001  whatever it is, its words are the plugin's code
        raise _told(error, OwnCode(judge_of(method))) from None
    if why:
        raise Unfit(why)


def ask_method(method: StopMethod[Any], request: Callable[[], None], said: CallLines) -> None:
    """Have it make the request; raises what it fails with."""
    with Heard(said.say):
        try:
            request()
        except Exception as error:  # noqa: BLE001  as above
            raise _told(error, OwnCode(method.request)) from None


def _told(error: Exception, own: OwnCode) -> Exception:
    """A method's error in plain words, with its place, and with a traceback where nobody has expected it."""
    expected = issubclass(type(error), LastcallError | TimeoutError)
    return located(worded(error), own.place(frames_of(error)), "" if expected else trace_of(error))


def judge_of(method: StopMethod[Any]) -> Callable[..., object]:
    """What of a method's own code says that it is unfit: what the base class passes on to is meant."""
    return method.unfit if type(method).unfit_with is StopMethod.unfit_with else method.unfit_with
