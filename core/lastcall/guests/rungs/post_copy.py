"""A guest that runs on another host already, while its memory is still here and follows it."""

from lastcall.api.guests import Guest
from lastcall.errors import LastcallError
from lastcall.hypervisor.ports import Condition
from lastcall.presence.sight import Sight
from lastcall.threads.wakeup import Wakeup
from lastcall.timing.moment import Moment

POLL = 1.0  # seconds between two looks


async def follows(sight: Sight, guest: Guest, until: Moment) -> bool:
    """Wait for as long as the guest's memory follows it, at most until a milestone; it can neither be asked nor called
    back meanwhile, and would be lost on both hosts.

    Returns whether there is nobody here that could be asked.
    """
    wakeup = Wakeup(sight.loop)
    with sight.status.watch(guest.key, wakeup.ring), until.watch(wakeup.ring):
        while not until.passed and sight.status.ended(guest.key) is None:
            try:
                found = await sight.hypervisor.facts(guest.uri, [guest])
            except (LastcallError, TimeoutError):
                return False
            if guest.key not in found:
                await sight.look_again(guest)
                return sight.status.ended(guest.key) is not None
            if found[guest.key].condition is not Condition.ARRIVING:
                return False
            await wakeup.wait(sight.loop.time() + POLL)
    return True
