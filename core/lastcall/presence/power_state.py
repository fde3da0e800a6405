"""What libvirt has said about guests: off and how, running and from where, or nothing any more."""

from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager

from lastcall.api.guests import Ended, Key
from lastcall.hypervisor.ports import (
    ConnectionClosed,
    ConnectionGivenUp,
    ConnectionRestored,
    GuestCrashed,
    GuestPoweredOff,
    GuestRebooted,
    GuestResumed,
    GuestStarted,
    GuestStopped,
    HypervisorEvent,
    LanesCrowded,
)


class PowerState:
    """Fed by events and by the answers to queries; used on the loop thread only.

    `on_start` is called when a guest starts, `on_restored` when a connection lives again.
    """

    def __init__(self) -> None:
        self._ended: dict[Key, Ended] = {}
        self._restored: dict[Key, bool] = {}
        self._crashed: set[Key] = set()
        self._powered_off: set[Key] = set()
        self._kept: set[Key] = set()
        self._reboots: Counter[Key] = Counter()
        self._starts: Counter[Key] = Counter()
        self._away: dict[str, str] = {}
        self._lost: dict[str, str] = {}
        self._eras: Counter[str] = Counter()
        self._watchers: dict[Key, list[Callable[[], None]]] = {}
        self.on_start: Callable[[Key], None] = _ignore
        self.on_restored: Callable[[str], None] = _ignore

    def take(self, event: HypervisorEvent) -> None:
        """Learn from an event."""
        match event:
            case GuestStopped(uri, uuid, ended, kept):
                self._restored.pop((uri, uuid), None)
                self.confirm_off((uri, uuid), ended, kept=kept)
            case GuestPoweredOff(uri, uuid):
                self._powered_off.add((uri, uuid))
            case GuestStarted(uri, uuid, restored):
                self._take_start((uri, uuid), restored=restored)
            case GuestResumed(uri, uuid):
                if (uri, uuid) in self._kept:
                    self._take_start((uri, uuid), restored=False)
            case GuestCrashed(uri, uuid):
                self._crashed.add((uri, uuid))
                self._tell((uri, uuid))
            case GuestRebooted(uri, uuid):
                self._reboots[uri, uuid] += 1
                self._powered_off.discard((uri, uuid))
                self.confirm_sound((uri, uuid))
                self._tell((uri, uuid))
            case ConnectionClosed() | ConnectionRestored() | ConnectionGivenUp():
                self._take_connection(event)
            case LanesCrowded():
                pass  # says nothing of whether they run

    def _take_start(self, key: Key, *, restored: bool) -> None:
        self.forget(key)
        self._starts[key] += 1
        self._restored[key] = restored
        self._tell(key)
        self.on_start(key)

    def _take_connection(self, event: ConnectionClosed | ConnectionRestored | ConnectionGivenUp) -> None:
        match event:
            case ConnectionClosed(uri, why):
                self._away[uri] = why
            case ConnectionRestored(uri):
                self._away.pop(uri, None)
                self._lost.pop(uri, None)
                self._eras[uri] += 1
                self.on_restored(uri)
            case ConnectionGivenUp(uri, why):
                self._away.pop(uri, None)
                self._lost[uri] = why
        # What happened while the connection was away brings no event any more: whoever waits has to ask.
        for key in [key for key in self._watchers if key[0] == event.uri]:
            self._tell(key)

    def forget(self, key: Key) -> None:
        """Forget how a guest ended: it runs again."""
        self._ended.pop(key, None)
        for told in (self._crashed, self._powered_off, self._kept):
            told.discard(key)

    def confirm_sound(self, key: Key) -> None:
        """Note that a guest has not crashed, or has begun anew since, as with `on_crash=restart`."""
        # Its plug was pulled for the crash when its turn came, unasked.
        self._crashed.discard(key)

    def confirm_off(self, key: Key, ended: Ended, *, kept: bool = False) -> None:
        """Note that libvirt said the guest is off; the first word about how stays. `kept`: for its backup."""
        # Of a guest with an agent that powered off beside a backup libvirt 9.0 said so 30 s later, and of all others as
        # late. A plug that is pulled meanwhile finds nothing that it could cut off.
        if ended is Ended.DESTROYED and key in self._powered_off:
            ended = Ended.SHUTDOWN
        # The event knows the reason; a question asked later may only find that there is no such domain. But one that
        # had migrated away and ended here in another way was back meanwhile, unheard: it would have been on no list.
        first = self._ended.get(key)
        if first is None or (first is Ended.MIGRATED and ended is not Ended.VANISHED):
            self._ended[key] = ended
        (self._kept.add if kept else self._kept.discard)(key)
        self._tell(key)

    def confirm_start(self, key: Key) -> None:
        """Note that a guest runs that was off, or was not known of, and of which no event has told."""
        self._take_start(key, restored=False)

    def ended(self, key: Key) -> Ended | None:
        """How the guest ended; None while libvirt has not said that it is off."""
        return self._ended.get(key)

    def kept(self, key: Key) -> bool:
        """Whether a guest that is off is kept by libvirt for its backup."""
        return key in self._kept

    def restored(self, key: Key) -> bool | None:
        """Whether the guest came from a saved image; None while libvirt has not said that it was started."""
        return self._restored.get(key)

    def crashed(self, key: Key) -> bool:
        """Whether libvirt said that the guest's system has crashed."""
        return key in self._crashed

    def reboots(self, key: Key) -> int:
        """How often the guest began anew."""
        return self._reboots[key]

    def starts(self, key: Key) -> int:
        """How often the guest was started; what it was asked before, it has forgotten."""
        return self._starts[key]

    def away(self, uri: str) -> str | None:
        """Why a connection is dead and being tried again; None while it lives or is given up."""
        return self._away.get(uri)

    def era(self, uri: str) -> int:
        """How often a connection came back; whatever was asked in an earlier era has to be asked again."""
        return self._eras[uri]

    def lost(self, uri: str) -> str | None:
        """Why nothing more will be heard of a connection's guests; None while there is hope."""
        return self._lost.get(uri)

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


def _ignore(_: object) -> None:
    """Nobody wants to know."""
