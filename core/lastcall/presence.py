"""What libvirt has said about guests: off and how, running and from where, or nothing any more."""

import asyncio

from lastcall.api.guests import Ended
from lastcall.errors import ConnectionLost
from lastcall.ports import ConnectionClosed, GuestStarted, GuestStopped, HypervisorEvent
from lastcall.records import Key


class Presence:
    """Fed by events and by the answers to queries; used on the loop thread only."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ended: dict[Key, Ended] = {}
        self._started: dict[Key, bool] = {}
        self._lost: dict[str, str] = {}
        self._waiting: dict[Key, list[asyncio.Future[None]]] = {}

    def take(self, event: HypervisorEvent) -> None:
        """Learn from an event."""
        match event:
            case GuestStopped(uri, uuid, ended):
                self._started.pop((uri, uuid), None)
                self.confirm_off((uri, uuid), ended)
            case GuestStarted(uri, uuid, restored):
                self._ended.pop((uri, uuid), None)
                self._started[uri, uuid] = restored
                self._wake((uri, uuid))
            case ConnectionClosed(uri, why):
                self._lost[uri] = why
                for key in [key for key in self._waiting if key[0] == uri]:
                    self._wake(key)

    def confirm_off(self, key: Key, ended: Ended) -> None:
        """Note that libvirt said the guest is off; the first word about how it ended stays."""
        self._ended.setdefault(key, ended)
        self._wake(key)

    def ended(self, key: Key) -> Ended | None:
        """How the guest ended; None while libvirt has not said that it is off."""
        return self._ended.get(key)

    def waiting(self) -> set[Key]:
        """The guests that somebody waits for."""
        return {key for key, waiters in self._waiting.items() if waiters}

    async def off(self, key: Key) -> Ended:
        """Wait until libvirt says that the guest is off; raises ConnectionLost when nothing will be heard of it."""
        while key not in self._ended:
            if key[0] in self._lost:
                raise ConnectionLost(
                    f"the connection was lost ({self._lost[key[0]]}); whether the guest is off is not known"
                )
            await self._news(key)
        return self._ended[key]

    async def started(self, key: Key) -> bool:
        """Wait for the start event; True when the guest came from a saved image."""
        while key not in self._started:
            await self._news(key)
        return self._started[key]

    async def _news(self, key: Key) -> None:
        waiter: asyncio.Future[None] = self._loop.create_future()
        waiters = self._waiting.setdefault(key, [])
        waiters.append(waiter)
        try:
            await waiter
        finally:
            waiters.remove(waiter)
            if not waiters:
                self._waiting.pop(key, None)

    def _wake(self, key: Key) -> None:
        for waiter in self._waiting.get(key, ()):
            if not waiter.done():
                waiter.set_result(None)
