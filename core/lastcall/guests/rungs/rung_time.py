"""When a rung's time is up, which counts from when its guest can have heard a request."""

import math

from lastcall.api.guests import Guest
from lastcall.guests.requests.pending_request import PendingRequest
from lastcall.guests.rungs.rung_tools import RungTools
from lastcall.planning.plan import Step
from lastcall.timing.moment import Moment

LANE_PATIENCE = 60.0  # seconds that a request may wait for its lane; its own time counts from when it is sent


class RungTime:
    """What the guest can have heard of the requests of one rung, and the time that is left to it.

    `latest`: the request that was made last; `asked_at`: when the first one left that the guest can have heard (the
    loop's clock); `refusal`: the last one that there was; `asked`: whether the guest can have heard a request, and has
    not forgotten it.
    """

    def __init__(self, tools: RungTools, guest: Guest, step: Step, until: Moment) -> None:
        self._tools, self._guest, self._step, self._until = tools, guest, step, until
        self._clock = tools.sight.loop.time
        self._length = step.timeout or math.inf
        self._begun = self._clock()
        self._sent_at: float | None = None  # the first request: the rung's time counts from it
        self.latest = PendingRequest(self._clock)
        self.asked_at: float | None = None
        self.refusal: BaseException | None = None
        self.asked = False

    @property
    def is_over(self) -> bool:
        """Whether nothing can come of the rung any more."""
        return (
            self._tools.over(self._guest, self._step)
            or self._until.passed
            or (self._tools.only_waits() and self._has_heard_nothing)
            or self._clock() >= (self._patience if self._sent_at is None else self.limit())
        )

    @property
    def was_only_refused(self) -> bool:
        """Whether requests were refused, and the guest can have heard none."""
        return self.refusal is not None and self.asked_at is None

    def limit(self) -> float:
        """When the rung's time is up, which counts from when the request was sent."""
        if self._sent_at is None:
            # A worker that sends it wakes nobody, but not sent by now it has all of its time left. Looked for twice a
            # second, thousands that waited for a lane kept the loop from serving those that had one.
            return min(self._patience, self._clock() + self._length)
        if self._step.patient and self.was_only_refused:
            return math.inf
        # Counted from its turn, a request that waits for a lane behind twelve others would use up its guest's time.
        since = self.latest.left_at if self._is_heard_late and not self.latest.answered else self._sent_at
        return (self._clock() if since is None else since) + self._time

    def begin(self) -> PendingRequest:
        """Get the next request ready, and with it when it is given up."""
        late = self._clock() + self._length if self._is_heard_late else 0.0
        own = self._patience if self._sent_at is None else max(late, self.limit())
        self.latest = PendingRequest(self._clock, min(self._until.at, own))
        return self.latest

    def expected_end(self) -> float:
        """When its time is up, as far as is known before the next request is sent."""
        first = self._clock() if self._sent_at is None or self._is_heard_late else self._sent_at
        return min(self._until.at, first + self._length)

    def was_given_up_early(self) -> bool:
        """Whether a request was given up at a moment that counts no more: the guest goes on with what it has heard.

        By a short announcement, say, that was taken back since: a save was aborted, and its guest destroyed.
        """
        return self.latest.was_due(self._clock(), min(self._until.at, self.limit()))

    def note_sent(self, request: PendingRequest) -> None:
        """Called by a worker; setting a value needs no lock, and waking the loop for each request would cost time."""
        request.note_sent()
        if self._sent_at is None or (self._step.patient and self.asked_at is None):
            self._sent_at = request.left_at

    def accept(self) -> None:
        """libvirt has taken the latest request."""
        self.note_sent(self.latest)
        if self._is_heard_late:
            self._sent_at = self.latest.left_at
        self.hear()

    def hear(self) -> None:
        """The guest can have heard the latest request, if that ever left for libvirt."""
        if self.asked_at is None:
            self.asked_at = self.latest.left_at
        self.asked |= self.latest.left_at is not None

    def refuse(self, error: BaseException) -> None:
        """libvirt has refused the latest request."""
        self.refusal, self.latest.refused = error, True

    def forget(self) -> None:
        """The guest was started anew: of what it was asked before it knows nothing."""
        if not self.latest.answered:
            # An event that comes late may tell of the very start that was asked: who heard a run by hand waits for a
            # restore.
            self.hear()
        self.asked, self.latest.left_at = False, None

    @property
    def _patience(self) -> float:
        return self._begun + self._length + LANE_PATIENCE

    @property
    def _has_heard_nothing(self) -> bool:
        """Whether there is nothing to wait for where nobody is asked any more."""
        return self.asked_at is None and (self.latest.answered or self.latest.left_at is None)

    @property
    def _time(self) -> float:
        # Where the mains are back those that are off wait for the end of this.
        return self._tools.asker.time_of(self._guest, self._step) if self._tools.only_waits() else self._length

    @property
    def _is_heard_late(self) -> bool:
        """Whether the core's own request, refused so far, would be heard only now: all of its time counts from then.

        Refused for most of it, and heard at last, a guest was forced off a second later: a host stop had joined its run
        by hand.
        """
        return self._step.insists and self.was_only_refused
