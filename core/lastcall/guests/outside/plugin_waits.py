"""What plugins say that a guest waits for outside of this host: asked again and again, in nobody's time box."""

from lastcall.api.guests import Guest
from lastcall.errors import Severity
from lastcall.guests.stopping import Stopping
from lastcall.records.records import GuestHeld
from lastcall.threads.wakeup import Wakeup

HOOK = "guest_waits"
INTERVAL = 1.0  # seconds between an answer and the next question


class PluginWaits:
    """Waits for what plugins name, for one guest whose turn has come. `named`: all that it was so far."""

    def __init__(self, stopping: Stopping, guest: Guest) -> None:
        self._scheduler, self._phases, self._hooks = stopping.scheduler, stopping.phases, stopping.hooks
        self._stream, self._sight = stopping.stream, stopping.ladder.tools.sight
        self._guest = guest
        self.named: tuple[str, ...] = ()

    async def over(self) -> bool:
        """Wait until nobody names anything, and for its turn anew: others move meanwhile. False: until everybody was
        asked.
        """
        if not self._hooks.listens(HOOK, self._guest):
            return True
        if await self._phases.last_ask.bounds(self._wait_aside()):
            return True
        if self._phases.last_ask.passed and self.named:
            message = f"was asked without waiting any longer for {', '.join(self.named)}"
            self._stream.problem("order", self._guest.name, message, severity=Severity.WARNING)
        return False

    async def _wait_aside(self) -> None:
        async with self._scheduler.aside(self._guest.key):
            wakeup = Wakeup(self._sight.loop)
            with self._sight.status.watch(self._guest.key, wakeup.ring):
                while not self._is_in_vain and await self._is_named():
                    await wakeup.wait(self._sight.loop.time() + INTERVAL)

    @property
    def _is_in_vain(self) -> bool:
        status, key = self._sight.status, self._guest.key
        return self._phases.asks_no_more or status.ended(key) is not None or status.crashed(key)

    async def _is_named(self) -> bool:
        until = min(self._phases.last_ask.at, self._phases.last_resort.at)
        fired = await self._hooks.fire(HOOK, self._guest, until=until)
        names = list(dict.fromkeys(name for _, answer in fired.answers for name in answer))
        fresh = [name for name in names if name not in self.named]
        if fresh:
            self.named = (*self.named, *fresh)
            by, at = ", ".join(names), self._stream.now()
            self._stream.emit(GuestHeld(at=at, guest=self._guest.key, by=by, until=self._stream.by(until)))
        return bool(names)
