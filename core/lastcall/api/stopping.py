"""Ways to stop a guest: the base class that plugins implement and the request it gets."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from lastcall.api.guests import Guest, Outcome
from lastcall.api.run import Run

if TYPE_CHECKING:
    from lastcall.options import StepOptions

StepT = TypeVar("StepT", bound="StepOptions")


@dataclass(frozen=True, kw_only=True)  # no slots: with them, calling StopRequest[X](…) raises in Python 3.11
class StopRequest(Generic[StepT]):
    """One request to stop one guest. `attempt` counts from 1 and grows when the ladder re-sends.

    `last_resort`: the ladder is over, and what takes long may not come to its end.
    """

    guest: Guest
    options: StepT
    run: Run
    attempt: int
    last_resort: bool = False


class StopMethod(ABC, Generic[StepT]):
    """Base class for a stop method, offered through the hook `stop_methods`.

    `outcome` is what a guest that goes off by this method counts as; `repeatable` says that asking again is harmless.
    """

    name: ClassVar[str]
    outcome: ClassVar[Outcome] = Outcome.STOPPED
    repeatable: ClassVar[bool] = False
    options: "type[StepT]"

    def unfit(self, guest: Guest, run: Run) -> str | None:
        """Say why this method is no use for the guest, or None. Must not wait; the plan shows the answer."""
        return None

    @abstractmethod
    def request(self, call: StopRequest[StepT]) -> None:
        """Ask the guest to stop and return; the ladder alone waits. Raise when the request was refused."""

    def withdraw(self, call: StopRequest[StepT]) -> None:
        """Take the request back: its time is over, the guest still runs, and the next rung is about to be tried."""
