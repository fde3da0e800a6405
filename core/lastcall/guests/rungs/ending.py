"""How a guest ended, beside what the method of a rung makes of guests: whose doing it was."""

from lastcall.api.guests import Ended, Outcome
from lastcall.errors import OperationInvalid
from lastcall.formats.values import value
from lastcall.guests.requests.pending_request import PendingRequest
from lastcall.records.credit import ending_of

GOING_OFF = 2.0  # seconds between QEMU's last breath and libvirt's word that the guest is off, at most


@value
class Ending:
    """`mine`: the outcome of guests that go off by the rung's method."""

    ended: Ended
    mine: Outcome

    @property
    def outcome(self) -> Outcome:
        """What the guest counts as. A transient one has gone when it is off, and nobody says how."""
        if self.ended is Ended.MIGRATED and self.mine is Outcome.MOVED:
            return Outcome.MOVED
        return ending_of(self.ended, self.mine) or self.mine

    def is_by_method(self, *, asked: bool) -> bool:
        """Whether it is this method that ends a guest so; a crash or a migration is told of where it happens."""
        return (asked and self.outcome is self.mine) or self.outcome in {Outcome.FAILED, Outcome.SKIPPED}

    def came_with(self, request: PendingRequest, refusal: BaseException | None, now: float) -> bool:
        """Whether the guest was so quick to obey that its request was refused. A plug that is refused is none."""
        soon = request.age(now) <= GOING_OFF and isinstance(refusal, OperationInvalid)
        return soon and self.outcome is self.mine is not Outcome.FORCED
