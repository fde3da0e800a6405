"""Ways to stop a guest: the base class that plugins implement and the request it gets."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Generic, cast, get_args, get_origin

from lastcall.api.guests import Guest, Outcome
from lastcall.api.run import Run
from lastcall.formats.values import value

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from lastcall.options import StepOptions

    StepT = TypeVar("StepT", bound="StepOptions", default="StepOptions")
else:
    # With a default from Python 3.13 on; before, only type checkers know of it, who bring typing_extensions themselves.
    from typing import TypeVar

    StepT = TypeVar("StepT")


@value(frozen=True, kw_only=True)
class StopRequest(Generic[StepT]):
    """One request to stop one guest. `attempt` counts from 1 and grows when the ladder re-sends.

    `last_resort`: the ladder is over, and what takes long may not come to its end.
    """

    guest: Guest
    options: StepT
    run: Run
    attempt: int
    last_resort: bool = False


class _InBrackets:
    """The options of a method that does not set them: what stands in the brackets behind `StopMethod`."""

    # Written twice, as brackets and as an attribute, the two could differ, and no type checker would say so.
    def __get__(self, _method: object, kind: type) -> Any:
        from lastcall.options import StepOptions  # here: pydantic is not free

        for one in kind.__mro__:
            for base in one.__dict__.get("__orig_bases__", ()):
                origin: Any = get_origin(base)
                if isinstance(origin, type) and issubclass(origin, StopMethod):
                    given = next(iter(get_args(base)), None)
                    if not isinstance(given, TypeVar):
                        return given
        return StepOptions


class StopMethod(ABC, Generic[StepT]):
    """Base class for a stop method, offered through the hook `stop_methods`.

    `outcome` is what a guest that goes off by this method counts as. `StopMethod[MyOptions]` has options of its own
    behind its name in a ladder, a subclass of `lastcall.options.StepOptions`; without brackets it has that. Where they
    derive from `RepeatableOptions`, asking again is harmless, and is done every `resend` seconds.
    """

    name: ClassVar[str]
    outcome: ClassVar[Outcome] = Outcome.STOPPED
    options: "type[StepT]" = cast("Any", _InBrackets())

    def unfit(self, guest: Guest, run: Run) -> str | None:
        """Say why this method is no use for the guest, or None. Must not wait; the plan shows the answer."""
        return None

    def unfit_with(self, call: StopRequest[StepT]) -> str | None:
        """The same for a rung with its options, which this is asked for in its place; by default `unfit` decides."""
        return self.unfit(call.guest, call.run)

    @abstractmethod
    def request(self, call: StopRequest[StepT]) -> None:
        """Ask the guest to stop and return; the ladder alone waits. Raise when the request was refused."""

    def withdraw(self, call: StopRequest[StepT]) -> None:
        """Take the request back: its time is over, the guest still runs, and the next rung is about to be tried."""
