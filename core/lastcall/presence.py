"""What libvirt has said about guests: off and how, running and from where, or nothing any more."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from lastcall.api.guests import Ended
from lastcall.ports import ConnectionClosed, GuestStarted, GuestStopped, HypervisorEvent
from lastcall.records import Key


class Presence:
    """Fed by events and by the answers to queries; used on the loop thread only."""

    def __init__(self) -> None:
        self._ended: dict[Key, Ended] = {}
        self._restored: dict[Key, bool] = {}
        self._lost: dict[str, str] = {}
        self._watchers: dict[Key, list[Callable[[], None]]] = {}

    def take(self, event: HypervisorEvent) -> None:
        """Learn from an event."""
        match event:
            case GuestStopped(uri, uuid, ended):
                self._restored.pop((uri, uuid), None)
                self.confirm_off((uri, uuid), ended)
            case GuestStarted(uri, uuid, restored):
                self._ended.pop((uri, uuid), None)
                self._restored[uri, uuid] = restored
                self._tell((uri, uuid))
            case ConnectionClosed(uri, why):
                self._lost[uri] = why
                for key in [key for key in self._watchers if key[0] == uri]:
                    self._tell(key)

    def confirm_off(self, key: Key, ended: Ended) -> None:
        """Note that libvirt said the guest is off; the first word about how it ended stays."""
        self._ended.setdefault(key, ended)
        self._tell(key)

    def ended(self, key: Key) -> Ended | None:
        """How the guest ended; None while libvirt has not said that it is off."""
        return self._ended.get(key)

    def restored(self, key: Key) -> bool | None:
        """Whether the guest came from a saved image; None while libvirt has not said that it was started."""
        return self._restored.get(key)

    def lost(self, uri: str) -> str | None:
        """Why nothing more will be heard of a connection's guests; None while it lives."""
        return self._lost.get(uri)

    def watched(self) -> set[Key]:
        """The guests that somebody waits for."""
        return set(self._watchers)

    @contextmanager
    def watch(self, key: Key, tell: Callable[[], None]) -> Generator[None]:
        """Have `tell` called whenever there is news of a guest."""
        watchers = self._watchers.setdefault(key, [])
        watchers.append(tell)
        try:
            yield
        finally:
            watchers.remove(tell)
            if not watchers:
                self._watchers.pop(key, None)

    def _tell(self, key: Key) -> None:
        for tell in self._watchers.get(key, ()):
            tell()
