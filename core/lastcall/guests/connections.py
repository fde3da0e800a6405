"""The connections of a run: opened all at once, listened to, and asked for their guests."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from lastcall.api.guests import Guest
from lastcall.config.settings import ConnectionSettings
from lastcall.errors import ConnectionLost, LastcallError, NotPermitted, Severity
from lastcall.guests.power_state import PowerState
from lastcall.hypervisor.ports import (
    Connected,
    ConnectionClosed,
    ConnectionGivenUp,
    ConnectionRestored,
    Hypervisor,
    HypervisorEvent,
    Target,
)
from lastcall.ordering.queue import ParallelLimits
from lastcall.records.stream import Stream
from lastcall.timing.budget import STEP
from lastcall.timing.terms import Terms

if TYPE_CHECKING:
    from lastcall.api.guests import Key

CONNECT_TIMEOUT = 10.0  # seconds, for a connection that is not configured (any more)
LIST_TIMEOUT = 10.0  # seconds; listing a thousand guests takes a tenth of one
RETRY = 0.5  # seconds until a connection that died is asked again


class Connections:
    """Asks every connection at once; one that does not answer is a problem of the report, and holds up nobody.

    `patient`: a connection that refuses is tried again, and one that died is waited for.
    """

    def __init__(
        self,
        hypervisor: Hypervisor,
        status: PowerState,
        stream: Stream,
        terms: Terms,
        configured: Sequence[ConnectionSettings],
        *,
        patient: bool,
    ) -> None:
        self._hypervisor = hypervisor
        self._status = status
        self._stream = stream
        self._terms = terms
        self._configured = configured
        self._patient = patient
        self._connected: list[Connected] = []
        self._twice: set[Key] = set()

    @property
    def uris(self) -> list[str]:
        """The connections that are open, by their canonical URIs."""
        return list(dict.fromkeys(one.uri for one in self._connected if one.uri))

    @property
    def complete(self) -> bool:
        """Whether every connection was opened that has to be."""
        return all(one.error is None or one.target.optional for one in self._connected)

    def limits(self, parallel: int) -> ParallelLimits:
        """How many guests may move at once, of all and of each connection."""
        return ParallelLimits(parallel, {one.uri: one.target.parallel for one in self._connected if one.uri})

    def time_for_a_step(self) -> float:
        """Seconds that one question to a connection may take."""
        return min(LIST_TIMEOUT, self._terms.share(STEP))

    async def connect(self, extra: Iterable[str] = ()) -> None:
        """Open the configured connections and `extra` URIs."""
        most = self._terms.share(STEP)
        targets = [
            Target(
                uri=one.uri,
                timeout=min(one.timeout, most),
                optional=one.optional,
                patient=self._patient and not one.optional,
                reconnect=one.reconnect,
                parallel=one.parallel,
            )
            for one in self._configured
        ]
        known = {target.uri for target in targets}
        others = [uri for uri in dict.fromkeys(extra) if uri not in known]
        targets += [Target(uri=uri, timeout=min(CONNECT_TIMEOUT, most), patient=self._patient) for uri in others]
        # All at once, each with its own limit. A frozen libvirtd hung libvirt-guests as a whole and left it an empty
        # list, with which every later stop did nothing and exited with 0.
        self._connected = await self._hypervisor.connect(targets, self._hear)
        for one in self._connected:
            if one.error is not None and not one.target.optional:
                what = "permission" if isinstance(one.error, NotPermitted) else "connection"
                self._stream.problem(what, one.target.uri, str(one.error), one.error.remedy)

    def _hear(self, event: HypervisorEvent) -> None:
        """Pass an event on; what becomes of a connection belongs in the report."""
        match event:
            case ConnectionClosed(uri, why):
                self._stream.problem("connection", uri, f"died ({why}); it is tried again", severity=Severity.WARNING)
            case ConnectionRestored(uri):
                self._stream.problem("connection", uri, "is back", severity=Severity.WARNING)
            case ConnectionGivenUp(uri, why):
                message = f"died ({why}) and did not come back; what its guests do is not known"
                self._stream.problem("connection", uri, message, "look at the libvirt daemon's journal")
            case _:
                pass
        self._status.take(event)

    async def active(self, *, patient: bool = True) -> list[Guest]:
        """The active guests of every connection, by name. `patient`: wait for one that is dead, and report failures."""
        lists = (self._listed(uri, self._hypervisor.active, patient=patient) for uri in self.uris)
        return self._each_once([guest for guests in await asyncio.gather(*lists) for guest in guests])

    async def inactive(self) -> list[Guest]:
        """The guests of every connection that are defined and off."""
        lists = (self._listed(uri, self._hypervisor.inactive) for uri in self.uris)
        return [guest for guests in await asyncio.gather(*lists) for guest in guests]

    async def _listed(
        self, uri: str, ask: Callable[[str], Awaitable[list[Guest]]], *, patient: bool = True
    ) -> list[Guest]:
        """List guests; a connection that dies meanwhile is asked again when it is back."""
        try:
            async with asyncio.timeout(self.time_for_a_step()):
                while True:
                    try:
                        return sorted(await ask(uri), key=lambda guest: guest.name)
                    except ConnectionLost:
                        # libvirtd may just be restarted, by an update say, while its guests run on.
                        if not patient or self._status.lost(uri):
                            raise
                        await asyncio.sleep(RETRY)
        except (LastcallError, TimeoutError) as error:
            if patient:
                self._stream.problem("connection", uri, f"its guests cannot be listed: {error or 'no answer'}")
            return []

    def _each_once(self, guests: Sequence[Guest]) -> list[Guest]:
        """Leave out guests that are listed by two connections, as two spellings of one daemon's URI do."""
        hosts = {one.uri: one.host for one in self._connected}
        seen: dict[tuple[str, str, str, str], Guest] = {}
        for guest in guests:
            # The UUID alone does not tell guests apart: a domain that was copied to another host has it, too.
            first = seen.setdefault((hosts.get(guest.uri, ""), guest.driver, guest.uuid, guest.name), guest)
            if first is not guest:
                message = f"lists {guest.name} as {first.uri} does; it is taken from there"
                remedy = "take one of the two connections out"
                if guest.key not in self._twice:
                    self._stream.problem("connection", guest.uri, message, remedy, Severity.WARNING)
                self._twice.add(guest.key)
        return list(seen.values())
