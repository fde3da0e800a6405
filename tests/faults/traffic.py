"""What went by: every message of a run, when it came, and what was done to it."""

from collections.abc import Iterable
from dataclasses import dataclass

from faults.frames import ASKS, ERROR, FINDS, PLUGS, REMOTE, STARTS, Frame, Kind, Way
from faults.rules import Action


@dataclass(frozen=True, slots=True)
class Passed:
    """One message. `at`: seconds of the monotonic clock; `link`: the number of its connection."""

    at: float
    link: int
    way: Way
    frame: Frame
    action: Action | None


class Traffic:
    """Filled by the proxy's thread, and read when that has ended."""

    def __init__(self) -> None:
        self.passed: list[Passed] = []

    def count(self, way: Way) -> int:
        """How many messages of libvirt's API went this way."""
        return sum(one.way is way and one.frame.program == REMOTE for one in self.passed)

    def asked(self, guest: str) -> float | None:
        """When the first request to stop came that the guest can have heard of: accepted, or not answered at all.

        One that was refused asked nothing; nor did one whose connection ended before it was delivered.
        """
        heard = (one.at for one in self._calls(ASKS, guest) if not self._refused(one) and one.action is not Action.CUT)
        return min(heard, default=None)

    def plugged(self, guest: str) -> float | None:
        """When it was first tried to force the guest off."""
        return min((one.at for one in self._calls(PLUGS, guest)), default=None)

    def tried(self, guest: str) -> list[float]:
        """When requests to stop came, whatever became of them."""
        return [one.at for one in self._calls(ASKS, guest)]

    def refused_to_start(self, guest: str) -> bool:
        """Whether the client was ever told that a start had failed, or that its guest cannot be found."""
        finds = [one for one in self.passed if one.frame.procedure in FINDS and one.frame.kind == Kind.CALL]
        return any(
            self._refused(call) or any(reply.action is Action.REFUSE for reply in self._replies(call))
            for call in (*self._calls(STARTS, guest), *finds)
        )

    def _calls(self, procedures: Iterable[int], guest: str) -> list[Passed]:
        wanted = set(procedures)
        return [one for one in self.passed if one.frame.procedure in wanted and one.frame.guest == guest]

    def _refused(self, call: Passed) -> bool:
        """Whether the daemon, or we in its place, said no."""
        return call.action is Action.REFUSE or any(reply.frame.status == ERROR for reply in self._replies(call))

    def _replies(self, call: Passed) -> list[Passed]:
        return [
            one
            for one in self.passed
            if (one.link, one.way, one.frame.kind, one.frame.serial)
            == (call.link, Way.TO_CLIENT, Kind.REPLY, call.frame.serial)
        ]
