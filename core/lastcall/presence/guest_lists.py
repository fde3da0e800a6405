"""The lists of guests: asked of every connection at once; one that does not answer costs nobody else his."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence

from lastcall.api.guests import Guest, Key
from lastcall.errors import ConnectionLost, LastcallError, Severity, in_words
from lastcall.hypervisor.ports import Hypervisor
from lastcall.presence.power_state import PowerState
from lastcall.presence.pursuit import WAITING, Pursuit
from lastcall.records.stream import Stream
from lastcall.timing.budget import STEP
from lastcall.timing.terms import Terms

LIST_TIMEOUT = 10.0  # seconds; listing a thousand guests takes a tenth of one
RETRY = 0.5  # seconds until a connection that died is asked again
NAMES_TIMEOUT = 2.0  # seconds for names that only tell a mistyped one from one of a guest that is off


class GuestLists:
    """Lists guests. `welcome` is told the URI of a connection whose list came late, and how to say so; it returns it.

    `pursues`: the host stops, and a list that cannot be had is tried again.
    """

    def __init__(
        self,
        hypervisor: Hypervisor,
        status: PowerState,
        stream: Stream,
        terms: Terms,
        pursuit: Pursuit,
        welcome: Callable[[str, str], str],
        *,
        pursues: bool,
    ) -> None:
        self._hypervisor, self._status, self._stream, self._terms = hypervisor, status, stream, terms
        self._pursuit, self._welcome, self._pursues = pursuit, welcome, pursues
        self.complete = True  # whether every connection listed its guests whenever it was asked
        self._seen: set[str] = set()  # connections whose guests were listed
        self._latest: dict[str, list[Guest]] = {}  # by connection
        self._brought: dict[str, list[Guest]] = {}  # lists that came late, and that nobody has used yet
        self._twice: set[Key] = set()

    def pursue(self) -> None:
        """The host stops after all: what was listed so far was looked through for those only that were chosen."""
        self._pursues = True
        self._seen.clear()

    async def active(
        self, hosts: Callable[[], Mapping[str, str]], *, patient: bool, only: Container[str] | None = None
    ) -> list[Guest]:
        """The active guests of every connection, or of `only` these, by name.

        `hosts`: the connections that are open, and the hosts behind them. `patient`: wait for one that is dead, and
        report failures.
        """
        asked = set[str]()
        # One that is opened while another hangs over its list belongs to the same plan: its guests were asked after
        # those that they need.
        while new := [uri for uri in hosts() if uri not in asked and (only is None or uri in only)]:
            asked.update(new)
            lists = (self._listed(uri, self._active_of, patient=patient) for uri in new)
            self._latest |= zip(new, await asyncio.gather(*lists), strict=True)
        everybody = [guest for uri in hosts() for guest in self._latest.get(uri, ())]
        return [guest for guest in self._each_once(everybody, hosts()) if guest.uri in asked]

    async def _active_of(self, uri: str) -> list[Guest]:
        """The active guests of one connection; a list that came late is used: a slow daemon has no time for two."""
        brought = self._brought.pop(uri, None)
        return await self._hypervisor.active(uri) if brought is None else brought

    async def inactive(self, uris: Sequence[str]) -> Mapping[str, Sequence[Guest]]:
        """The guests that are defined and off, of each of these connections that answers."""
        lists = (self._listed(uri, self._hypervisor.inactive, patient=True) for uri in uris)
        found = zip(uris, await asyncio.gather(*lists), strict=True)
        return {uri: guests for uri, guests in found if uri in self._seen}

    async def known(self, uris: Sequence[str]) -> tuple[list[Guest], bool]:
        """All guests of these connections that answer soon, active or not, and whether these are all; what does not
        answer is no problem of the run's.

        Nobody is to wait for them: a daemon that hung over these lists kept the guests of all others from being asked.
        """
        lists = [ask(uri) for uri in uris for ask in (self._hypervisor.inactive, self._hypervisor.active)]
        asked = {asyncio.ensure_future(one) for one in lists}
        if not asked:
            return [], True
        try:
            with contextlib.suppress(TimeoutError):
                async with self._terms.bounded(STEP, NAMES_TIMEOUT):
                    await asyncio.wait(asked)
        finally:
            for one in asked:  # also where the run is over by then: nobody else would end them
                one.cancel()
        answered = [one for one in asked if one.done() and not one.cancelled()]
        found = [one.result() for one in answered if not isinstance(one.exception(), LastcallError | TimeoutError)]
        return [guest for guests in found for guest in guests], len(found) == len(asked)

    async def _listed(self, uri: str, ask: Callable[[str], Awaitable[list[Guest]]], *, patient: bool) -> list[Guest]:
        """List guests; a connection that dies meanwhile is asked again when it is back."""
        try:
            async with self._terms.bounded(STEP, LIST_TIMEOUT):
                while True:
                    try:
                        found = sorted(await ask(uri), key=lambda guest: guest.name)
                    except ConnectionLost:
                        # libvirtd may just be restarted, by an update say, while its guests run on.
                        if not patient or self._status.lost(uri):
                            raise
                        await asyncio.sleep(RETRY)
                    else:
                        self._seen.add(uri)
                        return found
        except (LastcallError, TimeoutError) as error:
            self.complete = False
            goes_on = self._pursues and uri not in self._seen
            if goes_on:
                self._list_on(uri, error)
            if patient:
                what, severity = WAITING if goes_on else ("connection", Severity.ERROR)
                message = f"its guests cannot be listed: {in_words(error)}"
                self._stream.problem(what, uri, message, severity=severity)
            return []

    def _list_on(self, uri: str, error: Exception) -> None:
        async def attempt() -> str:
            # Not a share of what is left: a slow daemon would get ever less time, and it holds up nobody.
            async with asyncio.timeout(LIST_TIMEOUT):
                self._brought[uri] = await self._hypervisor.active(uri)
            return self._welcome(uri, "listed its guests late")

        self._pursuit.begin(uri, f"its guests cannot be listed: {in_words(error)}", attempt, needed=True)

    def _each_once(self, guests: Sequence[Guest], hosts: Mapping[str, str]) -> list[Guest]:
        """Leave out guests that are listed by two connections, as two spellings of one daemon's URI do."""
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
