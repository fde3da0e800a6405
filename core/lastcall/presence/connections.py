"""The connections of a run: opened all at once, listened to, and asked for their guests."""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Collection, Container, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from lastcall.api.guests import Guest, Key
from lastcall.config.sections.connection import ConnectionSettings
from lastcall.config.settings import WatchSettings
from lastcall.errors import ConnectionLost, HypervisorError, LastcallError, NotPermitted, Severity, in_words
from lastcall.hypervisor.ports import (
    Connected,
    ConnectionClosed,
    ConnectionGivenUp,
    ConnectionRestored,
    GuestFacts,
    Hypervisor,
    HypervisorEvent,
    LanesCrowded,
    Looked,
    Target,
)
from lastcall.ordering.queue import ParallelLimits
from lastcall.presence.guest_lists import LIST_TIMEOUT, RETRY, GuestLists
from lastcall.presence.power_state import PowerState
from lastcall.presence.pursuit import WAITING, Pursuit
from lastcall.presence.session_uris import is_own_session
from lastcall.presence.watching.neighbours import Neighbours
from lastcall.records.stream import Stream
from lastcall.timing.budget import STEP
from lastcall.timing.terms import Terms

CONNECT_TIMEOUT = 10.0  # seconds, for a connection that is not configured (any more)
LOOK_EACH = 0.1  # seconds more for each guest that is looked at, as long as a daemon that is busy goes on answering
_MACHINES = ("qemu", "kvm", "libvirt_lxc")  # how the processes of guests are called


class Connections:
    """Asks every connection at once; one that does not answer is a problem of the report, and holds up nobody.

    `patient`: the host stops. A connection that refuses is tried again until the last resort, and one that died is
    waited for. Those that are watched are for `neighbours` alone. `crowded` is told the guests (UUIDs) whose calls hang
    while others wait for a lane. `worked` is awaited once, when the first of those that are configured was opened.
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
        crowded: Callable[[Collection[str]], None] = lambda _: None,
        worked: Callable[[], Awaitable[None]] | None = None,
        watch: WatchSettings | None = None,
    ) -> None:
        self._hypervisor = hypervisor
        self._status = status
        self._stream = stream
        self._terms = terms
        self._configured = [one for one in configured if not one.watch]
        own = {one.uri for one in self._configured}
        watched = [one for one in configured if one.watch and one.uri not in own]
        self.neighbours = Neighbours(hypervisor, self._hear, stream, terms, watched, watch or WatchSettings())
        self._patient = patient
        self._crowded = crowded
        self._worked = worked
        self._connected: list[Connected] = []
        self._parallel: dict[str, int] = {}
        self._pursuit = Pursuit(terms, self._give_up)
        self._late: set[str] = set()
        self._lists = GuestLists(hypervisor, status, stream, terms, self._pursuit, self._welcome, pursues=patient)

    @property
    def uris(self) -> list[str]:
        """The connections that are open, by their canonical URIs."""
        return list(dict.fromkeys(one.uri for one in self._connected if one.uri))

    @property
    def complete(self) -> bool:
        """Whether every connection was opened that has to be."""
        return all(one.error is None or one.target.optional for one in self._connected)

    @property
    def all_listed(self) -> bool:
        """Whether every connection was opened, and listed its guests whenever it was asked."""
        return self._lists.complete and all(one.error is None for one in self._connected)

    def limits(self, parallel: int) -> ParallelLimits:
        """How many guests may move at once, of all and of each connection."""
        return ParallelLimits(parallel, self._parallel)  # which grows by connections that come late

    @property
    def awaited(self) -> bool:
        """Whether a connection, or the list of its guests, is still tried that has to be there."""
        return self._pursuit.needed

    def came_late(self, uri: str) -> bool:
        """Whether a connection was opened, or its guests listed, only when the run was under way."""
        return uri in self._late

    def latecomers(self, tell: Callable[[str], None]) -> AbstractContextManager[None]:
        """Have `tell` called with the URI of every connection that comes late; see `Pursuit.latecomers`."""
        return self._pursuit.latecomers(tell)

    async def connect(self, extra: Iterable[str] = ()) -> None:
        """Open the configured connections and `extra` URIs."""
        targets = [
            Target(
                uri=one.uri,
                timeout=one.timeout,
                optional=one.optional,
                patient=self._patient and not one.optional,
                reconnect=math.inf if self._patient else one.reconnect,
                parallel=one.parallel,
            )
            for one in self._configured
        ]
        known = {target.uri for target in targets}
        others = [uri for uri in dict.fromkeys(extra) if uri not in known]
        targets += [Target(uri=uri, timeout=CONNECT_TIMEOUT, patient=self._patient) for uri in others]
        # All at once, each with its own limit. A frozen libvirtd hung libvirt-guests as a whole and left it an empty
        # list, with which every later stop did nothing and exited with 0.
        once = {target.uri: target for target in reversed(targets)}  # the first of a URI counts
        in_order = [once[uri] for uri in dict.fromkeys(target.uri for target in targets)]
        self._connected = await asyncio.gather(*map(self._open, in_order))
        for one in self._connected:
            self._note(one)
        await self._tell_if_worked()

    async def _open(self, target: Target) -> Connected:
        began = self._terms.clock()
        try:
            async with self._terms.bounded(STEP):
                (found,) = await self._hypervisor.connect([target], self._hear)
                return found
        except TimeoutError:
            waited = f"no answer within {self._terms.clock() - began:.0f} s"
            return Connected(target, error=HypervisorError(waited, "is the libvirt daemon hanging?"))

    async def _tell_if_worked(self) -> None:
        known = {one.uri for one in self._configured}
        worked = any(one.error is None for one in self._connected if one.target.uri in known)
        if worked and self._worked:
            tell, self._worked = self._worked, None
            await tell()

    def pursue(self) -> None:
        """The host stops after all: try on what could not be opened, was given up, or does not list its guests anew."""
        self._patient = True
        self._lists.pursue()
        for one in self._connected:
            if one.error is not None and not isinstance(one.error, NotPermitted):
                self._try_on(one.target, one.error)
            elif one.uri and self._status.lost(one.uri):
                self._try_on(one.target, ConnectionLost(f"it died: {self._status.lost(one.uri)}"))

    def _note(self, one: Connected) -> None:
        if one.uri:
            self._parallel[one.uri] = one.target.parallel
        if one.error is None:
            return
        denied = isinstance(one.error, NotPermitted)
        what, severity = "permission" if denied else "connection", Severity.ERROR
        if self._patient and not denied and self._try_on(one.target, one.error):
            what, severity = WAITING  # so far: if it never comes, that is said in the end
        if not one.target.optional:
            self._stream.problem(what, one.target.uri, in_words(one.error), one.error.remedy, severity)

    def _try_on(self, target: Target, error: LastcallError) -> bool:
        """Try a connection again and again; returns whether the run waits for it."""
        seconds = target.timeout

        async def attempt() -> str:
            nonlocal seconds
            began = self._terms.clock()
            # Once, as the pursuit tries again.
            within = min(seconds, self._terms.share(STEP))
            once = replace(target, timeout=within, patient=False, reconnect=math.inf)
            (found,) = await self._hypervisor.connect([once], self._hear)
            if self._terms.clock() - began >= within:
                seconds *= 2  # an attempt that hangs keeps its worker
            if found.error is not None:
                raise found.error
            was_open = any(one.uri == found.uri for one in self._connected)
            self._connected = [found if one.target.uri == target.uri else one for one in self._connected]
            self._note(found)
            await self._tell_if_worked()
            if found.uri and was_open:
                self._hear(ConnectionRestored(found.uri))
                return found.uri
            return self._welcome(found.uri or target.uri, "was opened late")

        # A host whose libvirtd is broken, and where no guest runs, powers off at once all the same.
        needed = not target.optional and _may_have_guests(target.uri)
        # A connection that is given up while its guests are to be listed answers no list any more.
        self._pursuit.begin(target.uri, in_words(error), attempt, needed=needed, anew=True)
        return needed

    def _welcome(self, uri: str, how: str) -> str:
        self._late.add(uri)
        self._stream.problem("connection", uri, f"{how}; its guests are stopped, too", severity=Severity.WARNING)
        return uri

    def _give_up(self, uri: str, why: str) -> None:
        message = f"was tried until the last resort: {why}; what its guests do is not known"
        self._stream.problem("connection", uri, message, "look at the libvirt daemon's journal")

    def _hear(self, event: HypervisorEvent) -> None:
        """Pass an event on; what becomes of a connection belongs in the report."""
        match event:
            case _ if self.neighbours.hear(event):
                pass
            case ConnectionClosed(uri, why):
                self._stream.problem("connection", uri, f"died ({why}); it is tried again", severity=Severity.WARNING)
            case ConnectionRestored(uri):
                self._stream.problem("connection", uri, "is back", severity=Severity.WARNING)
            case ConnectionGivenUp(uri, why) if self._patient:  # the host stops since it died
                # By its target as well: one that dies while it is being opened has no URI of its own yet.
                target = next((one.target for one in self._connected if uri in {one.uri, one.target.uri}), None)
                if target:
                    self._try_on(target, ConnectionLost(f"it died: {why}"))
            case ConnectionGivenUp(uri, why):
                message = f"died ({why}) and did not come back; what its guests do is not known"
                self._stream.problem("connection", uri, message, "look at the libvirt daemon's journal")
            case LanesCrowded(_, uuids):
                self._crowded(uuids)
            case _:
                pass
        self._status.take(event)

    async def active(self, *, patient: bool = True, only: Container[str] | None = None) -> list[Guest]:
        """The active guests of every connection, or of `only` these (URIs), by name.

        `patient`: wait for one that is dead, and report failures.
        """
        return await self._lists.active(self._hosts, patient=patient, only=only)

    async def inactive(self) -> list[Guest]:
        """The guests of every connection that are defined and off."""
        return [guest for guests in (await self.off()).values() for guest in guests]

    async def off(self, but: Container[str] = ()) -> Mapping[str, Sequence[Guest]]:
        """The guests that are defined and off, of each connection that answers, without some of them (URIs)."""
        return await self._lists.inactive([uri for uri in self.uris if uri not in but])

    async def names(self) -> tuple[list[str], bool]:
        """The names of the guests of every connection, active or not, that answers soon, and whether all did.

        Those of neighbours are among them.
        """
        known, complete = await self._lists.known([*self.uris, *self.neighbours.uris])
        return [guest.name for guest in known], complete and self.all_listed and self.neighbours.complete

    async def known(self, uris: Sequence[str]) -> tuple[list[Guest], bool]:
        """All guests of these connections that answer soon, active or not, and whether these are all."""
        return await self._lists.known(uris)

    async def beside(self, ours: Collection[Guest]) -> list[Guest]:
        """The guests of neighbours that run. `ours`: those of our own connections."""
        return await self.neighbours.active(ours, self._hosts())

    def _hosts(self) -> Mapping[str, str]:
        """The connections that are open, and the hosts behind them."""
        return {one.uri: one.host for one in self._connected if one.uri}

    async def look(self, uri: str, guests: Sequence[Guest], *, within: float = math.inf) -> Looked:
        """Look at guests of one connection; those that did not answer as it died are looked at again when it is back.

        Raises nothing.
        """
        # Told of the host's end while a daemon was away, a run went on looking past that: it is asked for each time.
        until = self._terms.end_of(STEP, min(within, LIST_TIMEOUT + LOOK_EACH * len(guests)))
        era = self._status.era(uri)
        facts, left = dict[Key, GuestFacts](), list(guests)
        while True:
            silent: Mapping[Key, str]
            try:
                found = await self._hypervisor.look(uri, left, until=until)
                silent = found.silent
                facts |= found.facts
            except (LastcallError, TimeoutError) as error:
                silent = {guest.key: in_words(error) for guest in left}
            left = [guest for guest in left if guest.key in silent]
            if not left or not self._patient or self._terms.clock() + RETRY >= until():
                return Looked(facts, silent)
            await asyncio.sleep(RETRY)  # the word that a connection died may come after the answer that never came
            if not self._status.away(uri) and self._status.era(uri) == era:
                return Looked(facts, silent)


def _may_have_guests(uri: str) -> bool:
    """Whether guests may run behind a connection that is not there; for local QEMU and LXC the processes tell."""
    if is_own_session(uri):
        return False  # it has ended with its guests, which it saves as the host stops
    if not uri.startswith(("qemu:///", "lxc:///")):
        return True
    for name in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):  # gone meanwhile
            if name.read_text(errors="replace").startswith(_MACHINES):
                return True
    return False
