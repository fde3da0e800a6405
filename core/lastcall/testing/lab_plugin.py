"""What the lab itself is to the engine: a plugin that provides its guests' shells."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from lastcall.api.guests import Guest
from lastcall.api.markers import hookimpl
from lastcall.api.shell import GuestShell
from lastcall.testing.guest import LabGuest
from lastcall.testing.shell import AnsweringShell, LabShell

if TYPE_CHECKING:
    from lastcall.testing.failures import Failures


class LabPlugin:
    """Knows the guests of a lab. `now`: the clock of the run that is under way."""

    def __init__(self, guests: Mapping[str, LabGuest], failures: "Failures") -> None:
        self._guests = guests
        self._failures = failures
        self.now: Callable[[], float] = float

    @hookimpl
    def guest_shells(self) -> list[GuestShell]:
        """Their shells."""
        return [LabShell(self._shell_of, lambda: self.now(), self._failures)]  # noqa: PLW0108  each run has its clock

    def _shell_of(self, guest: Guest) -> AnsweringShell | None:
        return next((one.shell for one in self._guests.values() if one.guest == guest), None)
