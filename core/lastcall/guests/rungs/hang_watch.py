"""Whether a request that does not return tells that its guest's QEMU hangs, so that its plug had better be pulled."""

import asyncio
import contextlib
import math

from lastcall.api.guests import Guest
from lastcall.errors import LastcallError
from lastcall.guests.requests.pending_request import PendingRequest
from lastcall.guests.rungs.rung_tools import RungTools

HANGS = 3.0  # seconds for a request that returns at once, by its kind
HELD_LOOK = 1.0  # seconds for asking whether somebody's job holds up such a request


class HangWatch:
    """Watches the requests of one rung. `returns_at_once`: its requests do, unless QEMU hangs."""

    def __init__(self, tools: RungTools, guest: Guest, *, returns_at_once: bool) -> None:
        self._tools, self._guest, self._sight = tools, guest, tools.sight
        self._returns_at_once = returns_at_once
        self.hangs = False

    def due(self, request: PendingRequest) -> float:
        """When a request that has not returned by then tells so, on the loop's clock."""
        if request.answered or not self._returns_at_once:
            return math.inf
        left_at = self._sight.loop.time() if request.left_at is None else request.left_at  # now at the earliest
        return max(self._tools.hung_plug(), left_at + HANGS)

    async def tells(self, request: PendingRequest) -> bool:
        """Whether it does."""
        if self._sight.loop.time() < self.due(request):
            return False
        self._returns_at_once, self.hangs = False, not await self._is_held()
        return self.hangs

    async def _is_held(self) -> bool:
        """Whether it is a job of somebody that the request waits for, begun since its turn came, and not QEMU."""
        guest = self._guest
        with contextlib.suppress(LastcallError, TimeoutError):
            async with asyncio.timeout(HELD_LOOK):
                facts = await self._sight.hypervisor.facts(guest.uri, [guest])
            return guest.key in facts and facts[guest.key].delays_requests
        return False
