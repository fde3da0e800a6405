"""What one guest does: what libvirt says when it is asked, and waiting for it to say something."""

import asyncio
import math

from lastcall.api.guests import Ended, Guest, GuestState
from lastcall.errors import LastcallError
from lastcall.formats.values import value
from lastcall.hypervisor.ports import Hypervisor
from lastcall.presence.power_state import PowerState
from lastcall.threads.wakeup import Wakeup
from lastcall.timing.moment import Moment


@value
class Sight:
    """Looks at guests one by one. Nothing is waited for after `last_hook`, where nothing else is said."""

    hypervisor: Hypervisor
    status: PowerState
    loop: asyncio.AbstractEventLoop
    last_hook: Moment

    async def reach(self, guest: Guest, until: float) -> None:
        """Wait while the guest's connection is dead and being tried again, at most until a moment of the clock."""
        wakeup = Wakeup(self.loop)
        with self.status.watch(guest.key, wakeup.ring):
            while self.status.away(guest.uri) and self.loop.time() < until:
                await wakeup.wait(until)

    async def wait_for(self, guest: Guest, until: Moment) -> None:
        """Wait until the guest is off, or past hope, at most until a moment."""
        wakeup = Wakeup(self.loop)
        with self.status.watch(guest.key, wakeup.ring), until.watch(wakeup.ring):
            while not until.passed and self.status.ended(guest.key) is None and not self.status.crashed(guest.key):
                await wakeup.wait()

    async def look_again(self, guest: Guest, until: float | None = None) -> GuestState:
        """Ask libvirt what the guest does now; being off is noted. UNKNOWN where libvirt does not answer."""
        until = self.last_hook.at if until is None else until
        try:
            async with asyncio.timeout_at(None if until == math.inf else until):
                standing = await self.hypervisor.standing(guest)
        except (LastcallError, TimeoutError):
            return GuestState.UNKNOWN
        if standing.state is GuestState.OFF:
            self.status.confirm_off(guest.key, standing.ended or Ended.VANISHED, kept=standing.kept)
        return standing.state
