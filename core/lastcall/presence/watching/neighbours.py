"""The connections whose guests are watched: opened read-only, listened to, and never asked for anything else."""

import asyncio
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from lastcall.api.guests import Guest, Reason
from lastcall.api.reasons import reasons_of
from lastcall.config.sections.connection import ConnectionSettings
from lastcall.config.settings import WatchSettings
from lastcall.errors import HypervisorError, LastcallError, Severity, in_words
from lastcall.hypervisor.ports import (
    Connected,
    ConnectionClosed,
    ConnectionGivenUp,
    ConnectionRestored,
    GuestStopped,
    Hypervisor,
    HypervisorEvent,
    Looked,
    Target,
)
from lastcall.records.stream import Stream
from lastcall.timing.budget import STEP
from lastcall.timing.terms import Terms

# A host that is gone, as one whose power went first, refuses nothing: it does not answer. Everybody here waits for that
# long before the first is asked, unless the connection has a `timeout` of its own.
OPENING = 5.0  # seconds
LISTING = 5.0  # seconds for the list of its guests, and for a look at them


class Neighbours:
    """Opens them all at once; one that is not there is told of, once, and costs nobody anything more.

    `listener` takes what libvirt tells. `settings`: how long, and why, a neighbour is waited for that stays up.
    """

    def __init__(
        self,
        hypervisor: Hypervisor,
        listener: Callable[[HypervisorEvent], None],
        stream: Stream,
        terms: Terms,
        configured: Iterable[ConnectionSettings],
        settings: WatchSettings,
    ) -> None:
        self._hypervisor, self._listener, self._stream, self._terms = hypervisor, listener, stream, terms
        self._configured = {one.uri: one for one in configured}
        self._settings = settings
        self._opened: dict[str, Connected] = {}  # by the URI that is configured
        self._quiet_since: dict[str, float] = {}
        self._told: set[str] = set()
        self._quiet = False

    @property
    def configured(self) -> bool:
        """Whether there are any."""
        return bool(self._configured)

    @property
    def uris(self) -> list[str]:
        """The connections that are open, by their canonical URIs."""
        return [one.uri for one in self._opened.values() if one.uri]

    @property
    def complete(self) -> bool:
        """Whether every one of them is open."""
        return len(self.uris) == len(self._configured)

    @property
    def patience(self) -> float:
        """Seconds for which a neighbour is waited for that stays up; 0 in a run that does not wait for any."""
        return self.patience_for(self._terms.reason)

    def patience_for(self, reason: Reason) -> float:
        """The same in a run for this reason."""
        return self._settings.wait if reason in reasons_of(self._settings.reasons) else 0.0

    def quiet_since(self, uri: str) -> float:
        """When a guest of this connection last went off, as far as was heard (the loop's clock)."""
        return self._quiet_since.get(uri, -math.inf)

    async def open(self, *, quietly: bool = False) -> None:
        """Open those that are not open yet. `quietly`: whoever waits for their guests tells what that came to."""
        self._quiet = quietly
        missing = [one for uri, one in self._configured.items() if not self._is_open(uri)]
        for one in await asyncio.gather(*map(self._open, missing)):
            self._opened[one.target.uri] = one
            if one.error is not None and not one.target.optional:
                self._tell(one.target.uri, in_words(one.error), one.error.remedy)

    def _is_open(self, uri: str) -> bool:
        return uri in self._opened and self._opened[uri].uri is not None

    async def _open(self, one: ConnectionSettings) -> Connected:
        timeout = one.timeout if "timeout" in one.model_fields_set else min(one.timeout, OPENING)
        target = Target(
            uri=one.uri, timeout=timeout, optional=one.optional, reconnect=one.reconnect, read_only=True
        )  # fmt: skip
        try:
            async with self._terms.bounded(STEP, timeout):
                (found,) = await self._hypervisor.connect([target], self._listener)
                return found
        except TimeoutError:
            return Connected(target, error=HypervisorError("no answer in time", "is that host up?"))

    def hear(self, event: HypervisorEvent) -> bool:
        """Note what is news of a neighbour; returns whether it is one's."""
        if event.uri not in self.uris:
            return False
        match event:
            case GuestStopped(uri):
                self._quiet_since[uri] = self._terms.clock()
            case ConnectionClosed(uri, why):
                self._tell(uri, f"died ({why}); it is tried again")
            case ConnectionRestored(uri):
                self._told.discard(uri)
            case ConnectionGivenUp(uri, why):
                self._told.discard(uri)
                self._tell(uri, f"died ({why}) and did not come back")
            case _:
                pass
        return True

    async def active(self, ours: Collection[Guest] = (), hosts: Mapping[str, str] | None = None) -> list[Guest]:
        """The guests that run there, by name; without those of `ours`, which are listed there, too, where a connection
        leads to this host (`hosts`: those behind our own connections, by URI).
        """
        # One configuration for all hosts names each of them, this one, too.
        known = {((hosts or {}).get(one.uri, ""), one.driver, one.uuid, one.name) for one in ours}
        behind = {one.uri: one.host for one in self._opened.values() if one.uri}
        own_uris = {one.uri for one in ours}
        lists = await asyncio.gather(*(self._list(uri) for uri in behind if uri not in own_uris))
        found = [guest for guests in lists for guest in guests]
        return [one for one in found if (behind[one.uri], one.driver, one.uuid, one.name) not in known]

    async def _list(self, uri: str) -> list[Guest]:
        try:
            async with self._terms.bounded(STEP, LISTING):
                return sorted(await self._hypervisor.active(uri), key=lambda guest: guest.name)
        except (LastcallError, TimeoutError) as error:
            self._tell(uri, f"its guests cannot be listed: {in_words(error)}")
            return []

    async def look(self, uri: str, guests: Sequence[Guest]) -> Looked:
        """Look at guests of one of them, as far as they answer at once. Raises nothing."""
        try:
            return await self._hypervisor.look(uri, guests, until=self._terms.end_of(STEP, LISTING))
        except (LastcallError, TimeoutError):
            return Looked()

    def _tell(self, uri: str, why: str, remedy: str = "") -> None:
        """Say it once, as a warning: in a power failure it is what happens to neighbours."""
        if uri not in self._told and not self._quiet:
            self._told.add(uri)
            self._stream.problem(
                "connection", uri, f"{why}; its guests are not waited for", remedy, Severity.WARNING
            )  # fmt: skip
