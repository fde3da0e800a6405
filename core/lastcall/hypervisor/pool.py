"""Every connection of a run, for the loop thread: each blocking call goes to a worker with an outer limit."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import libvirt

from lastcall.api.guests import Ended, Guest, GuestState, Key
from lastcall.api.run import Domain
from lastcall.errors import ConnectionLost, GuestGone, HypervisorError, LastcallError, NotPermitted, in_words
from lastcall.hypervisor.call_limits.call_budget import CallBudget
from lastcall.hypervisor.call_limits.call_places import QUESTIONS
from lastcall.hypervisor.connection import QUERY_TIMEOUT, Connection
from lastcall.hypervisor.domain import LibvirtDomain
from lastcall.hypervisor.libvirt_errors import translated
from lastcall.hypervisor.look import UNANSWERED, Look, Looking
from lastcall.hypervisor.moving.moves import Moves
from lastcall.hypervisor.ports import (
    Call,
    Connected,
    ConnectionClosed,
    ConnectionGivenUp,
    ConnectionRestored,
    GuestFacts,
    HypervisorEvent,
    Looked,
    OwnStop,
    Standing,
    StartNeeds,
    Target,
)
from lastcall.hypervisor.starting.asked_starts import AskedStarts
from lastcall.hypervisor.starting.needs import is_here, supply
from lastcall.hypervisor.starting.saved_image import start_domain
from lastcall.hypervisor.stopping.own_stops import Trace, in_force, may_stop_guests, traces
from lastcall.threads.turnstile import Turnstile
from lastcall.threads.workers import Workers

if TYPE_CHECKING:
    from lastcall.hypervisor.moving.other_hosts import OtherHosts

PATIENCE = 3.0  # seconds for a daemon that refuses: others wait for it, and one that is down stays down in a host stop
RETRY = 0.5  # seconds between two attempts to connect
SUPPLY_TIMEOUT = 60.0  # seconds; a pool that is mounted from far away takes some
START_TIMEOUT = 300.0  # seconds; reading a large saved image takes minutes

_ACTIONS = {
    "destroy": libvirt.VIR_DOMAIN_LIFECYCLE_ACTION_DESTROY,
    "restart": libvirt.VIR_DOMAIN_LIFECYCLE_ACTION_RESTART,
}


class LibvirtHypervisor:
    """Implements `lastcall.hypervisor.ports.Hypervisor` with libvirt."""

    def __init__(self, workers: Workers, *, moves_at_once: int = 0) -> None:
        """`moves_at_once`: guests that are moved to one other host at a time, 0 = no limit."""
        self._workers = workers
        self._moves = Moves(moves_at_once)
        self._queries = defaultdict[str, Turnstile](lambda: Turnstile(workers, QUESTIONS))
        self._connections: dict[str, Connection] = {}
        self._budgets: dict[str, CallBudget] = {}
        self._asked_starts = AskedStarts()
        self._reconnecting: set[asyncio.Task[None]] = set()
        self._attempts: dict[str, object] = {}  # which attempt each connection came from
        self._stillborn: set[object] = set()
        self._dead: list[Connection] = []  # kept, as closing them may block
        self._other_hosts: OtherHosts | None = None

    @property
    def other_hosts(self) -> "OtherHosts":
        """Those that guests of these connections were moved to: what asks them loads when it is first looked for."""
        if self._other_hosts is None:
            from lastcall.hypervisor.moving.return_trips import LibvirtOtherHosts

            self._other_hosts = LibvirtOtherHosts(self._workers, self._connection)
        return self._other_hosts

    async def connect(self, targets: Sequence[Target], listener: Callable[[HypervisorEvent], None]) -> list[Connected]:
        """Open all at once, each within its own time; a URI that comes twice is opened once."""
        # libvirt-guests asks every guest twice where a URI is given twice.
        once = {target.uri: target for target in reversed(targets)}
        return list(
            await asyncio.gather(*(self._open(once[uri], listener) for uri in dict.fromkeys(t.uri for t in targets)))
        )

    async def active(self, uri: str) -> list[Guest]:
        """List the active guests of one connection."""
        connection = self._connection(uri)
        return await self._workers.call(connection.active_guests, timeout=QUERY_TIMEOUT)

    async def inactive(self, uri: str) -> list[Guest]:
        """List the guests of one connection that are defined and off."""
        return await self._workers.call(self._connection(uri).inactive_guests, timeout=QUERY_TIMEOUT)

    async def look(self, uri: str, guests: Sequence[Guest], *, until: Callable[[], float]) -> Looked:
        """Look at guests of one connection, in one batch as long as they answer; see `Hypervisor.look`."""
        connection = self._connection(uri)
        looking = Looking(self._queries[uri], self._workers, guests, connection.look, connection.look_aside)
        return await looking.until(until)

    async def facts(self, uri: str, guests: Sequence[Guest]) -> Mapping[Key, GuestFacts]:
        """Look at guests of one connection; see `Hypervisor.facts`."""
        connection, look = self._connection(uri), Look(guests)
        why = UNANSWERED
        try:
            await self._queries[uri].call(lambda: connection.look(look), timeout=QUERY_TIMEOUT)
        except TimeoutError as error:
            why = in_words(error)  # what was answered until then counts
        looked = look.end(why)
        if looked.silent:
            raise HypervisorError(next(iter(looked.silent.values())))
        return looked.facts

    async def set_on_poweroff(self, guest: Guest, action: str) -> None:
        """Set what becomes of a running guest that powers off."""
        connection, number = self._connection(guest.uri), _ACTIONS[action]
        await self._workers.call(lambda: connection.set_on_poweroff(guest.uuid, number), timeout=QUERY_TIMEOUT)

    async def abort_job(self, guest: Guest) -> None:
        """End a save or migration."""
        connection = self._connection(guest.uri)
        await self._workers.call(lambda: connection.abort_job(guest.uuid), timeout=QUERY_TIMEOUT)

    async def write_metadata(self, guest: Guest, key: str, namespace: str, xml: str | None) -> None:
        """Set, or with None remove, an element of a guest's metadata."""
        connection = self._connection(guest.uri)
        await self._workers.call(
            lambda: connection.write_metadata(guest.uuid, key, namespace, xml), timeout=QUERY_TIMEOUT
        )

    async def standing(self, guest: Guest) -> Standing:
        """Ask about one guest; a transient one that libvirt does not know any more is off."""
        connection = self._connection(guest.uri)
        try:
            ask = partial(connection.standing, guest.uuid)
            return await self._queries[guest.uri].call(ask, timeout=QUERY_TIMEOUT)
        except GuestGone:
            # libvirt forgets a transient guest in the moment it is off (error 42):
            # that is a success, not a failed question.
            return Standing(GuestState.OFF, Ended.VANISHED)

    async def own_stops(self, uri: str, *, since: float) -> Sequence[OwnStop]:
        """Whom a daemon has stopped by itself: by its settings, QEMU's logs and libvirt's own word, and nobody else."""
        if not may_stop_guests(uri):
            return ()
        settings = await self._workers.call(in_force, timeout=QUERY_TIMEOUT)
        if not settings:
            return ()
        off = await self.inactive(uri)
        found = await self._workers.call(lambda: traces(off, settings, since), timeout=QUERY_TIMEOUT)
        return [stop for stop in await asyncio.gather(*map(self._confirmed, found)) if stop]

    async def _confirmed(self, trace: Trace) -> OwnStop | None:
        standing, setting = await self.standing(trace.guest), trace.setting
        if standing.ended is not trace.ended:
            return None
        told = f"{setting} in {setting.path}"
        return OwnStop(guest=trace.guest, ended=trace.ended, setting=told, remedy=setting.remedy)

    async def start(self, guest: Guest, *, bypass_cache: bool = False) -> None:
        """Start a guest; `bypass_cache`: read its saved image around the page cache."""
        connection = self._connection(guest.uri)

        def start() -> None:
            with (
                connection.lanes.borrow("blocking", guest.uuid, timeout=START_TIMEOUT) as lane,
                translated(lane.connection),
            ):
                start_domain(lane.connection.lookupByUUIDString(guest.uuid), bypass_cache=bypass_cache)

        await self._workers.call(start, timeout=START_TIMEOUT)

    async def supply(self, guest: Guest) -> StartNeeds:
        """Start networks and pools; look for paths where they are those of this host."""
        connection = self._connection(guest.uri)

        def begin() -> tuple[StartNeeds, tuple[Path, ...]]:
            with (
                connection.lanes.borrow("blocking", guest.uuid, timeout=SUPPLY_TIMEOUT) as lane,
                translated(lane.connection),
            ):
                return supply(lane.connection, lane.connection.lookupByUUIDString(guest.uuid))

        supplied, paths = await self._workers.call(begin, timeout=SUPPLY_TIMEOUT)
        if not is_here(guest.uri):
            return supplied
        gone = await self._workers.call(
            lambda: [str(path) for path in paths if not path.exists()], timeout=QUERY_TIMEOUT
        )
        return replace(supplied, missing=(*supplied.missing, *gone))

    async def drop_image(self, guest: Guest) -> None:
        """Remove a guest's saved image."""
        connection = self._connection(guest.uri)
        await self._workers.call(lambda: connection.drop_image(guest.uuid), timeout=QUERY_TIMEOUT)

    def domain(self, guest: Guest, call: Call, sent: Callable[[], None] | None = None) -> Domain:
        """A view of the guest's domain; raises ConnectionLost where there is no connection."""
        return LibvirtDomain(self._connection(guest.uri), guest, call, self._asked_starts, sent, self._moves)

    def moved_to(self, guest: Guest) -> str:
        """The host that the guest was moved to."""
        return self._moves.target(guest.key)

    def close(self) -> None:
        """Forget all connections; the process is about to end anyway."""
        for task in self._reconnecting:
            task.cancel()
        self._connections.clear()

    async def _open(self, target: Target, listener: Callable[[HypervisorEvent], None]) -> Connected:
        """Open one. Where the target is patient, a daemon that refuses is tried again: it may be restarting."""
        loop = asyncio.get_running_loop()
        until = loop.time() + target.timeout
        patience = min(until, loop.time() + PATIENCE)
        while True:
            opened = await self._try_to_open(target, until - loop.time(), listener)
            over = loop.time() + RETRY >= patience or isinstance(opened, NotPermitted)
            if isinstance(opened, Connection):
                return Connected(target, uri=opened.uri, host=opened.host)
            if over or not target.patient:
                return Connected(target, error=opened)
            await asyncio.sleep(RETRY)

    async def _try_to_open(
        self, target: Target, timeout: float, listener: Callable[[HypervisorEvent], None]
    ) -> Connection | LastcallError:
        # Several URIs may lead to one daemon, which has one set of workers for all of them.
        budget, attempt = self._budgets.setdefault(_daemon(target.uri), CallBudget()), object()

        def post(event: HypervisorEvent) -> None:
            self._workers.post(partial(self._hear, target, attempt, listener, event))

        try:
            # The worker that hangs in open() is given up. It may get its
            # connection all the same, long after: see _hear.
            connection = await self._workers.call(
                lambda: Connection(target.uri, post, budget, read_only=target.read_only), timeout=timeout
            )
        except TimeoutError:
            return HypervisorError(f"no answer within {timeout:.0f} s", "is the libvirt daemon hanging?")
        except LastcallError as error:
            return error
        except Exception as error:  # noqa: BLE001  one connection never spoils the others
            return HypervisorError(in_words(error))
        if attempt in self._stillborn:
            return ConnectionLost(f"the connection to {connection.uri} died as soon as it was open")
        if target.read_only and connection.uri in self._connections:
            # Put in its place, guests of ours could not be stopped any more.
            return HypervisorError(f"{connection.uri} is open already", "watch a connection by one URI only")
        self._connections[connection.uri], self._attempts[connection.uri] = connection, attempt
        return connection

    def _hear(
        self, target: Target, attempt: object, listener: Callable[[HypervisorEvent], None], event: HypervisorEvent
    ) -> None:
        """Pass an event on; a connection that died is tried again.

        An attempt that was given up may have succeeded all the same, and die later: that is no news.
        """
        if not isinstance(event, ConnectionClosed):
            listener(event)
        elif self._attempts.get(event.uri) is not attempt:
            self._stillborn.add(attempt)
        elif event.uri in self._connections:
            self._dead.append(self._connections.pop(event.uri))
            listener(event)
            task = asyncio.get_running_loop().create_task(self._reconnect(target, event, listener))
            self._reconnecting.add(task)
            task.add_done_callback(self._reconnecting.discard)

    async def _reconnect(
        self, target: Target, closed: ConnectionClosed, listener: Callable[[HypervisorEvent], None]
    ) -> None:
        """Until it lives again or its time is over; whoever asks meanwhile is told that the connection is lost."""
        loop = asyncio.get_running_loop()
        until = loop.time() + target.reconnect
        while loop.time() < until:
            opened = await self._try_to_open(target, min(target.timeout, until - loop.time()), listener)
            if isinstance(opened, Connection):
                listener(ConnectionRestored(closed.uri))
                return
            await asyncio.sleep(RETRY)
        listener(ConnectionGivenUp(closed.uri, closed.why))

    def _connection(self, uri: str) -> Connection:
        connection = self._connections.get(uri)
        if connection is None:
            raise ConnectionLost(f"not connected to {uri}")
        return connection


def _daemon(uri: str) -> str:
    """What tells one daemon from another: the transport, the host and the socket, whatever the driver."""
    parts = urlsplit(uri)
    return f"{parts.scheme.partition('+')[2]}//{parts.netloc}?{parts.query}"
