"""Every connection of a run, for the loop thread: each blocking call goes to a worker with an outer limit."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from lastcall.api.guests import Ended, Guest, GuestState
from lastcall.api.run import Domain
from lastcall.errors import ConnectionLost, GuestGone, HypervisorError, LastcallError
from lastcall.hypervisor.connection import Connection
from lastcall.hypervisor.domain import LibvirtDomain
from lastcall.hypervisor.failures import translated
from lastcall.ports import Call, Connected, HypervisorEvent, Standing, Target
from lastcall.workers import Workers

QUERY_TIMEOUT = 10.0  # seconds; queries do not touch QEMU and take milliseconds
START_TIMEOUT = 300.0  # seconds; reading a large saved image takes minutes


class LibvirtHypervisor:
    """Implements `lastcall.ports.Hypervisor` with libvirt."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._connections: dict[str, Connection] = {}

    async def connect(self, targets: Sequence[Target], listener: Callable[[HypervisorEvent], None]) -> list[Connected]:
        """Open all at once, each within its own time; a URI that comes twice is opened once."""
        once = {target.uri: target for target in reversed(targets)}
        return list(
            await asyncio.gather(*(self._open(once[uri], listener) for uri in dict.fromkeys(t.uri for t in targets)))
        )

    async def active(self, uri: str) -> list[Guest]:
        """List the active guests of one connection."""
        connection = self._connection(uri)
        return await self._workers.call(connection.active_guests, timeout=QUERY_TIMEOUT)

    async def standing(self, guest: Guest) -> Standing:
        """Ask about one guest; a transient one that libvirt does not know any more is off."""
        connection = self._connection(guest.uri)
        try:
            return await self._workers.call(lambda: connection.standing(guest.uuid), timeout=QUERY_TIMEOUT)
        except GuestGone:
            return Standing(GuestState.OFF, Ended.VANISHED)

    async def start(self, guest: Guest) -> None:
        """Start a guest."""
        connection = self._connection(guest.uri)

        def start() -> None:
            with connection.lanes.borrow(blocking=True, timeout=START_TIMEOUT) as lane, translated(lane.connection):
                lane.domain(guest.uuid).create()

        await self._workers.call(start, timeout=START_TIMEOUT)

    def domain(self, guest: Guest, call: Call, sent: Callable[[], None] | None = None) -> Domain:
        """A view of the guest's domain; raises ConnectionLost where there is no connection."""
        return LibvirtDomain(self._connection(guest.uri), guest, call, sent)

    def close(self) -> None:
        """Forget all connections; the process is about to end anyway."""
        self._connections.clear()

    async def _open(self, target: Target, listener: Callable[[HypervisorEvent], None]) -> Connected:
        def post(event: HypervisorEvent) -> None:
            self._workers.post(partial(listener, event))

        try:
            connection = await self._workers.call(lambda: Connection(target.uri, post), timeout=target.timeout)
        except TimeoutError:
            error = HypervisorError(f"no answer within {target.timeout:.0f} s", "is the libvirt daemon hanging?")
            return Connected(target, error=error)
        except LastcallError as error:
            return Connected(target, error=error)
        except Exception as error:  # noqa: BLE001  one connection never spoils the others
            return Connected(target, error=HypervisorError(f"{type(error).__name__}: {error}"))
        self._connections.setdefault(connection.uri, connection)
        return Connected(target, uri=connection.uri)

    def _connection(self, uri: str) -> Connection:
        connection = self._connections.get(uri)
        if connection is None:
            raise ConnectionLost(f"not connected to {uri}")
        return connection
