"""The readiness wait: plugins are asked again and again, until nobody says that a started guest is not ready."""

import asyncio
from collections.abc import Awaitable, Callable

from lastcall.api.guests import Guest, GuestState
from lastcall.config.policies import Policies
from lastcall.config.settings import RestoreSettings
from lastcall.hooks.dispatch import Hooks
from lastcall.timing.terms import Terms

INTERVAL = 1.0  # seconds between two rounds of guest_ready


class Readiness:
    """Waits for guests that were started, each for its own `ready_timeout` and never past the end of the run."""

    def __init__(self, hooks: Hooks, policies: Policies, settings: RestoreSettings, terms: Terms) -> None:
        self._hooks = hooks
        self._policies = policies
        self._settings = settings
        self._terms = terms

    async def reached(self, guest: Guest, is_off: Callable[[], Awaitable[bool]]) -> bool:
        """Wait; returns whether it is ready. A guest that was paused and is again cannot become so, nor has to; one
        that is off again never will.
        """
        if guest.state is GuestState.PAUSED:
            return True
        now = self._terms.clock()
        until = min(now + self.limit(guest), self._terms.deadline.end)
        while self._terms.clock() < until and not await is_off():
            if await self.holds(guest, until=until, since=now):
                return True
            await asyncio.sleep(INTERVAL)
        return False

    async def holds(self, guest: Guest, *, until: float, since: float) -> bool:
        """Ask once whether it is ready; see `Hooks.fire`."""
        fired = await self._hooks.fire("guest_ready", guest, until=until, since=since)
        # No opinion is no veto: a guest that no plugin has to do with is ready when it runs.
        return not any(answer is False for _, answer in fired.answers)

    def limit(self, guest: Guest) -> float:
        """How long it may take, in seconds."""
        return self._policies.of(guest).ready_timeout or self._settings.ready_timeout

    @property
    def usual_limit(self) -> float:
        """The same of a guest of which nothing is known."""
        return self._settings.ready_timeout
