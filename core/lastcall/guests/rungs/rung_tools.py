"""What the rungs of a run share."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import field

from lastcall.api.guests import Guest
from lastcall.formats.values import value
from lastcall.guests.requests.stop_request import Asker
from lastcall.planning.plan import Step
from lastcall.presence.sight import Sight
from lastcall.records.stream import Stream
from lastcall.timing.moment import Moment


@value
class RungTools:
    """What the rungs of a run share; knows neither libvirt nor plugins.

    `hung_plug`: by then the plug of a guest whose QEMU hangs has to be pulled, to be confirmed in time. `only_waits`:
    whether the run has turned round, so that no request leaves any more, to whomever. `before_move`:
    writes down, before it is moved, where a guest may be soon. `last_ask`: when everybody has to be asked.
    """

    asker: Asker
    sight: Sight
    stream: Stream
    hung_plug: Callable[[], float]
    only_waits: Callable[[], bool]
    last_ask: Moment
    before_move: Callable[[Guest, Sequence[str]], Awaitable[None]]
    withdrawals: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    def over(self, guest: Guest, step: Step) -> bool:
        """Whether there is no point in (further) asking: it is off, has crashed, or libvirt is gone for good."""
        status = self.sight.status
        return (
            status.ended(guest.key) is not None
            or status.lost(guest.uri) is not None
            or (status.crashed(guest.key) and not step.last_resort)
        )
