"""The hosts that guests were moved to, asked by libvirt: who runs there, and native migrations from there to here."""

import contextlib
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from xml.etree import ElementTree as ET

import libvirt

from lastcall.api.guests import Guest, GuestState
from lastcall.errors import GuestGone, HypervisorError, OperationInvalid
from lastcall.hypervisor.connection import QUERY_TIMEOUT, Connection
from lastcall.hypervisor.domain_facts import obstacles_of
from lastcall.hypervisor.events import standing_of
from lastcall.hypervisor.libvirt_errors import translated
from lastcall.hypervisor.moving.far_host import FarHost, ask_far, named, reach
from lastcall.hypervisor.moving.guest_move import POSTCOPY_PART, MoveWish
from lastcall.hypervisor.moving.other_hosts import FarGuest, Journey, Surroundings
from lastcall.hypervisor.moving.surroundings import look_around
from lastcall.hypervisor.ports import Condition, OtherJob
from lastcall.hypervisor.starting.needs import begin_needed, is_here
from lastcall.threads.workers import Workers

T = TypeVar("T")
ANSWER = 5.0  # seconds for a question, from the connection on; a host that is there takes one, behind SSH as well
INSPECTION = 10.0  # seconds for all that a check asks another host
SUPPLY_TIMEOUT = 60.0  # seconds, as for any start
ABORTING = 20.0  # seconds for a migration that is told to end
_KEEP = libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM


class LibvirtOtherHosts:
    """Implements `lastcall.hypervisor.moving.other_hosts.OtherHosts`. `connection` is that to a guest's own host."""

    def __init__(self, workers: Workers, connection: Callable[[str], Connection]) -> None:
        self._workers = workers
        self._connection = connection

    async def ask(self, uri: str, guest: Guest) -> FarGuest:
        """Ask it in a few calls."""
        return await self._at(uri, ANSWER, lambda far: _look(far.connection, guest))

    async def inspect(self, uri: str, guests: Sequence[Guest]) -> Surroundings:
        """With the XML that they run by, as that is what travels."""

        def compare(far: FarHost) -> Surroundings:
            connection = self._connection(guests[0].uri)
            with connection.lanes.borrow("question", timeout=INSPECTION) as lane:
                return look_around(far, lane.connection, guests)

        return await self._at(uri, INSPECTION, compare)

    async def supply(self, uri: str, guest: Guest, journey: Journey) -> Sequence[str]:
        """By its definition there; what of its disks is not here is missing only where it is to be the same."""
        xml = await self._at(uri, ANSWER, lambda far: _xml(_domain(far.connection, guest.uuid)))
        connection, same = self._connection(guest.uri), journey.storage != "copy"

        def begin() -> Sequence[str]:
            tree = ET.fromstring(xml)  # noqa: S314  written by libvirt
            with (
                connection.lanes.borrow("blocking", guest.uuid, timeout=SUPPLY_TIMEOUT) as lane,
                translated(lane.connection),
            ):
                supplied, paths = begin_needed(lane.connection, tree, volumes=same)
            gone = [str(path) for path in paths if not path.exists()] if same and is_here(guest.uri) else []
            return (*supplied.missing, *gone)

        return await self._workers.call(begin, timeout=SUPPLY_TIMEOUT)

    async def fetch(self, uri: str, guest: Guest, journey: Journey) -> None:
        """Migrate it; what does not come to its end in its time is aborted there."""
        connection = self._connection(guest.uri)

        def travel(far: FarHost) -> None:
            with connection.lanes.borrow("blocking", guest.uuid, timeout=journey.timeout) as lane:
                _travel(far, lane.connection, guest.uuid, journey)

        await self._at(uri, QUERY_TIMEOUT + journey.timeout + ABORTING, travel)

    async def adopt(self, uri: str, guest: Guest, *, drop_image: bool) -> None:
        """Define it here first: whatever happens then, there is a definition of it."""
        connection = self._connection(guest.uri)

        def move(far: FarHost) -> None:
            with connection.lanes.borrow("blocking", guest.uuid, timeout=QUERY_TIMEOUT) as lane:
                _adopt(far, lane.connection, guest.uuid, drop_image=drop_image)

        await self._at(uri, 2 * QUERY_TIMEOUT, move)

    async def autostart(self, guest: Guest) -> None:
        """Set it, where it is not set."""
        connection = self._connection(guest.uri)

        def begin() -> None:
            with (
                connection.lanes.borrow("quick", guest.uuid, timeout=QUERY_TIMEOUT) as lane,
                translated(lane.connection),
            ):
                domain = lane.connection.lookupByUUIDString(guest.uuid)
                if domain.isPersistent() and not domain.autostart():
                    domain.setAutostart(1)

        await self._workers.call(begin, timeout=QUERY_TIMEOUT)

    async def _at(self, uri: str, seconds: float, work: Callable[[FarHost], T]) -> T:
        """Do something with a connection of its own to another host, which is closed afterwards."""

        def visit() -> T:
            far = reach(uri, within=ANSWER)
            try:
                return ask_far(uri, partial(work, far), within=seconds)
            finally:
                far.close()

        # Each step within has its own limit, and says which host did not keep it.
        return await self._workers.call(visit, timeout=seconds + QUERY_TIMEOUT)


def _domain(connection: libvirt.virConnect, uuid: str) -> Any:
    return connection.lookupByUUIDString(uuid)


def _look(connection: libvirt.virConnect, guest: Guest) -> FarGuest:
    try:
        with translated(connection):
            domain = _domain(connection, guest.uuid)
            state = standing_of(domain).state
            condition, job = obstacles_of(domain, replace(guest, state=state))
            if condition is Condition.ARRIVING:  # half a guest is neither on nor off, at the one end or the other
                raise HypervisorError("a migration of it is under way there")
            return FarGuest(
                state=state,
                defined=bool(domain.isPersistent()),
                saved=state is GuestState.OFF and bool(domain.hasManagedSaveImage()),
                stranded=_is_stranded(domain),
                leaves=job is OtherJob.MIGRATION,
            )
    except GuestGone:
        return FarGuest()


def _is_stranded(domain: Any) -> bool:
    """A migration whose client died at its very end leaves the guest standing, and QEMU would not migrate it again."""
    if tuple(domain.state()) != (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_MIGRATION):
        return False
    return domain.jobInfo()[0] == libvirt.VIR_DOMAIN_JOB_NONE


def _xml(domain: Any) -> str:
    """What it needs where it is started next: the live XML of one that runs."""
    kinds = libvirt.VIR_DOMAIN_XML_SECURE | libvirt.VIR_DOMAIN_XML_MIGRATABLE
    with translated():
        return domain.XMLDesc(kinds if domain.isActive() else kinds | libvirt.VIR_DOMAIN_XML_INACTIVE)


def _travel(far: FarHost, here: libvirt.virConnect, uuid: str, journey: Journey) -> None:
    wish = MoveWish(
        bandwidth=journey.bandwidth, disks=journey.storage, converge=journey.converge, timeout=journey.timeout
    )
    flags, over = wish.flags, threading.Event()
    with translated(far.connection):
        domain = _domain(far.connection, uuid)
        if journey.goes_on and _is_stranded(domain):
            domain.resume()
        if domain.isPersistent():
            # Defined in one place only: see the way there.
            flags |= libvirt.VIR_MIGRATE_PERSIST_DEST | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
        threading.Thread(target=_attend, args=(domain, wish, over), name="lastcall-return", daemon=True).start()
        try:
            domain.migrate3(here, wish.parameters, flags)
        finally:
            over.set()


def _attend(domain: Any, wish: MoveWish, over: threading.Event) -> None:
    """Begin post-copy where that is wanted, or end a migration whose time is up."""
    began = time.monotonic()
    postcopy = wish.converge == "postcopy"
    over.wait(wish.timeout * POSTCOPY_PART if postcopy else 0.0)
    while postcopy and not over.wait(1.0) and time.monotonic() < began + wish.timeout:
        with contextlib.suppress(libvirt.libvirtError):  # before the first of its memory is there it is refused
            domain.migrateStartPostCopy(0)
            return  # from now on it is here, and its memory there: it cannot be ended
    if wish.timeout < math.inf and not over.wait(max(0.0, began + wish.timeout - time.monotonic())):
        with contextlib.suppress(libvirt.libvirtError):
            domain.abortJob()


def _adopt(far: FarHost, here: libvirt.virConnect, uuid: str, *, drop_image: bool) -> None:
    flags = _KEEP | (libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE if drop_image else 0)
    with translated(far.connection):
        there = _domain(far.connection, uuid)
    xml = _xml(there)
    with translated(here):
        ours = here.defineXML(xml)
    try:
        with translated(far.connection):
            _give_up(far.connection, there, xml, flags)
    except HypervisorError as error:
        # Only where that host still has it: of a connection that has died nobody knows what it did, and two
        # definitions are better than none.
        if far.connection.isAlive():
            with contextlib.suppress(libvirt.libvirtError):
                ours.undefineFlags(_KEEP)
        raise named(far.uri, error) from None


def _give_up(connection: libvirt.virConnect, domain: Any, xml: str, flags: int) -> None:
    """Undefine one that is off. Somebody may be faster, and start it: then it is as it was, and an error here."""
    if not domain.isActive():
        domain.undefineFlags(flags)
    try:
        _domain(connection, domain.UUIDString())  # what is undefined while it runs is still there
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return
        raise
    connection.defineXML(xml)
    raise OperationInvalid("it was started there meanwhile", "`lastcall restore` brings it back")
