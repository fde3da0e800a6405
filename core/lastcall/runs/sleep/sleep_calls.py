"""What is done to single guests for a sleep of the host: each call in a worker, and bounded."""

from collections.abc import Callable

from lastcall.api.guests import Guest, GuestState
from lastcall.api.run import Domain
from lastcall.hooks.call import HookCall, RunContext
from lastcall.hypervisor.ports import Hypervisor, Standing
from lastcall.threads.workers import Workers

AT_ONCE = 10.0  # seconds for what libvirt does in milliseconds, unless somebody's job holds the guest


class SleepCalls:
    """Pauses, saves and resumes. Everything raises LastcallError or TimeoutError."""

    def __init__(self, context: RunContext, hypervisor: Hypervisor, workers: Workers) -> None:
        self._context, self._hypervisor, self._workers = context, hypervisor, workers

    async def pause(self, guest: Guest) -> None:
        """Let it stand still."""
        await self._call(guest, lambda domain: domain.pause(), self._context.terms.clock() + AT_ONCE)

    async def resume(self, guest: Guest) -> None:
        """Let it go on."""
        await self._call(guest, lambda domain: domain.resume(), self._context.terms.clock() + AT_ONCE)

    async def save(self, guest: Guest, until: float) -> None:
        """Save it, until then (on the loop's clock)."""
        await self._call(guest, lambda domain: domain.save(), until)

    async def give_up_save(self, guest: Guest) -> Standing:
        """End a save that takes too long; returns what has become of the guest."""
        standing = await self.standing(guest)
        if standing.state is GuestState.OFF:
            return standing
        await self._hypervisor.abort_job(guest)
        return await self.standing(guest)

    async def standing(self, guest: Guest) -> Standing:
        """Ask libvirt about it."""
        return await self._hypervisor.standing(guest)

    async def _call(self, guest: Guest, work: Callable[[Domain], None], until: float) -> None:
        now = self._context.terms.clock()
        until = min(until, self._context.terms.deadline.end)
        call = HookCall(self._context, "core", expires=until)
        try:
            await self._workers.call(lambda: work(call.domain(guest)), timeout=max(0.0, until - now))
        finally:
            call.expire()
