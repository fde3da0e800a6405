"""Which start of a guest was asked to stop: a later one has heard nothing, and is not forced off for it."""

from collections.abc import Callable

from lastcall.api.guests import Guest, Key
from lastcall.errors import StartedAnew


class AskedStarts:
    """The guests' starts by libvirt's number (`virDomainGetID`), as they were asked last. For any thread: each step is
    one operation of the interpreter.

    A guest obeyed while its connection was dead and was started by somebody: no event told of either, and its plug was
    pulled for what it had been asked before.
    """

    def __init__(self) -> None:
        self._asked: dict[Key, int] = {}

    def note(self, guest: Guest, number: int) -> Callable[[], None]:
        """It is being asked to stop. Returns how to take that back, where libvirt refuses and it heard nothing."""
        earlier = self._asked.get(guest.key)
        self._asked[guest.key] = number

        def take_back() -> None:
            if self._asked.get(guest.key) == number and earlier is not None:
                self._asked[guest.key] = earlier

        return take_back

    def check(self, guest: Guest, number: int) -> None:
        """It is to be forced off. Raises StartedAnew, once, where another start of it was asked; -1 = it is off."""
        if self._asked.get(guest.key, number) != number >= 0:
            self._asked.pop(guest.key, None)
            raise StartedAnew("it was started anew since it was asked")
