"""What guests there are, and what is known of them: connections, lists, traits, and the settings they bring along."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lastcall.api.guests import Guest
from lastcall.api.results import Problem, Severity
from lastcall.config.metadata import read_metadata
from lastcall.engine import Parts, share
from lastcall.errors import ConnectionLost, LastcallError, NotPermitted
from lastcall.plan import Circumstances, Plan, make_plan
from lastcall.ports import (
    Connected,
    ConnectionClosed,
    ConnectionGivenUp,
    ConnectionRestored,
    HypervisorEvent,
    Target,
)
from lastcall.traits import Traits
from lastcall.turns import Limits

if TYPE_CHECKING:
    from lastcall.records import Key

CONNECT_TIMEOUT = 10.0  # seconds, for a connection that is not configured (any more)
LIST_TIMEOUT = 10.0  # seconds; listing a thousand guests takes a tenth of one
RETRY = 0.5  # seconds until a connection that died is asked again


class Inventory:
    """Asks every connection at once; one that does not answer is a problem of the report, and holds up nobody."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._stream = parts.stream
        self._connected: list[Connected] = []
        self._twice: set[Key] = set()
        self.traits: dict[Key, Traits] = {}

    @property
    def uris(self) -> list[str]:
        """The connections that are open, by their canonical URIs."""
        return list(dict.fromkeys(one.uri for one in self._connected if one.uri))

    @property
    def complete(self) -> bool:
        """Whether every connection was opened that has to be."""
        return all(one.error is None or one.target.optional for one in self._connected)

    def limits(self, parallel: int) -> Limits:
        """How many guests may move at once, of all and of each connection."""
        return Limits(parallel, {one.uri: one.target.parallel for one in self._connected if one.uri})

    async def connect(self, extra: Iterable[str] = ()) -> None:
        """Open the configured connections and `extra` URIs."""
        most = share(self._parts)
        patient = not (self._parts.context.reason.voluntary or self._parts.context.rehearsal)
        targets = [
            Target(
                uri=one.uri,
                timeout=min(one.timeout, most),
                optional=one.optional,
                patient=patient and not one.optional,
                reconnect=one.reconnect,
                parallel=one.parallel,
            )
            for one in self._parts.settings.connections
        ]
        known = {target.uri for target in targets}
        others = [uri for uri in dict.fromkeys(extra) if uri not in known]
        targets += [Target(uri=uri, timeout=min(CONNECT_TIMEOUT, most), patient=patient) for uri in others]
        self._connected = await self._parts.hypervisor.connect(targets, self._hear)
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
        self._parts.presence.take(event)

    async def active(self, *, patient: bool = True) -> list[Guest]:
        """The active guests of every connection, by name. `patient`: wait for one that is dead, and report failures."""
        hypervisor = self._parts.hypervisor
        lists = await asyncio.gather(*(self._listed(uri, hypervisor.active, patient=patient) for uri in self.uris))
        return self._each_once([guest for guests in lists for guest in guests])

    async def inactive(self) -> list[Guest]:
        """The guests of every connection that are defined and off."""
        hypervisor = self._parts.hypervisor
        lists = await asyncio.gather(*(self._listed(uri, hypervisor.inactive) for uri in self.uris))
        return [guest for guests in lists for guest in guests]

    async def learn(self, guests: Sequence[Guest]) -> None:
        """Look at these guests: their traits, their metadata, and what plugins know of them."""
        by_uri: dict[str, list[Guest]] = {}
        for guest in guests:
            self._parts.policies.forget(guest)
            by_uri.setdefault(guest.uri, []).append(guest)
        await asyncio.gather(*(self._look(uri, some) for uri, some in by_uri.items() if uri in self.uris))
        if self._parts.hooks.listens("guest_settings"):
            await asyncio.gather(*(self._ask_plugins(guest) for guest in guests))

    async def plan(self, guests: Sequence[Guest], parallel: int) -> Plan:
        """Make the plan for these guests."""
        policies, others = self._parts.policies, list[Guest]()
        if any(policies.of(guest).depends_on for guest in guests):
            others = [*await self.inactive(), *await self.active()]
        around = Circumstances(
            methods=self._parts.methods,
            traits=self.traits,
            others=[guest.name for guest in others],
            limited=self._parts.deadline.end != float("inf"),
            slots=parallel,
        )
        return make_plan(guests, policies.of, around)

    async def _listed(
        self, uri: str, ask: Callable[[str], Awaitable[list[Guest]]], *, patient: bool = True
    ) -> list[Guest]:
        """List guests; a connection that dies meanwhile is asked again when it is back."""
        try:
            async with asyncio.timeout(min(LIST_TIMEOUT, share(self._parts))):
                while True:
                    try:
                        return sorted(await ask(uri), key=lambda guest: guest.name)
                    except ConnectionLost:
                        if not patient or self._parts.presence.lost(uri):
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
            first = seen.setdefault((hosts.get(guest.uri, ""), guest.driver, guest.uuid, guest.name), guest)
            if first is not guest:
                message = f"lists {guest.name} as {first.uri} does; it is taken from there"
                remedy = "take one of the two connections out"
                if guest.key not in self._twice:
                    self._stream.problem("connection", guest.uri, message, remedy, Severity.WARNING)
                self._twice.add(guest.key)
        return list(seen.values())

    async def _look(self, uri: str, guests: Sequence[Guest]) -> None:
        try:
            async with asyncio.timeout(min(LIST_TIMEOUT, share(self._parts))):
                found = await self._parts.hypervisor.traits(uri, guests)
        except (LastcallError, TimeoutError) as error:
            message = f"its guests cannot be looked at: {error or 'no answer'}; their metadata is not used"
            self._stream.problem("connection", uri, message)
            return
        self.traits.update(found)
        for guest in guests:
            self._take_metadata(guest, found.get(guest.key, Traits()).metadata)

    def _take_metadata(self, guest: Guest, texts: Mapping[str, str]) -> None:
        if texts:
            policy, problems = read_metadata(type(self._parts.settings.defaults), guest, texts)
            self._report(problems)
            if policy is not None:
                self._parts.policies.learn(guest, "metadata", policy)

    async def _ask_plugins(self, guest: Guest) -> None:
        fired = await self._parts.hooks.fire("guest_settings", guest)
        model = type(self._parts.settings.defaults)
        for plugin, answer in fired.answers:
            try:
                self._parts.policies.learn(guest, plugin, model.model_validate(_plain(answer)))
            except ValueError as error:
                message = f"guest_settings of {plugin}: {' '.join(str(error).split())}"
                self._stream.problem("plugin", guest.name, message, "it is not used")

    def _report(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self._stream.problem(problem.what, problem.where, problem.message, problem.remedy, problem.severity)


def _plain(answer: Any) -> dict[str, Any]:
    return dict(answer)
