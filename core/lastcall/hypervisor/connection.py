"""One libvirt connection: opening it, hearing its events, listing its guests. Everything here may block."""

import contextlib
from collections.abc import Callable, Collection, Generator
from dataclasses import replace
from functools import partial
from typing import Any, cast

import libvirt

from lastcall.api.guests import Guest, GuestState
from lastcall.errors import ConnectionLost, HypervisorError
from lastcall.hypervisor.call_limits.call_budget import CallBudget
from lastcall.hypervisor.event_loop import start_event_loop
from lastcall.hypervisor.events import guest_event, standing_of
from lastcall.hypervisor.lanes import Lanes
from lastcall.hypervisor.libvirt_errors import translated
from lastcall.hypervisor.look import Look
from lastcall.hypervisor.ports import ConnectionClosed, GuestRebooted, HypervisorEvent, LanesCrowded, Standing
from lastcall.hypervisor.starting.saved_image import remove_image

QUERY_TIMEOUT = 10.0  # seconds; queries do not touch QEMU and take milliseconds
# A frozen daemon answers nothing, and without keepalives a call to it never ends. With (2, 2) a blocked call was over
# after 6 s; this pair leaves a daemon that is only busy some 20 s.
KEEPALIVE = (5, 3)  # seconds between, and number of, unanswered messages until a silent peer counts as dead
_DOMAIN_0 = "00000000-0000-0000-0000-000000000000"  # Xen's host domain is no guest
_CLOSED_BY_US = 3
_CLOSE_REASONS = {0: "error", 1: "end of file", 2: "keepalive timeout"}


class Connection:
    """An open connection. `post` receives its events, on libvirt's event thread. `read_only`: it may only look."""

    def __init__(
        self, asked_for: str, post: Callable[[HypervisorEvent], None], budget: CallBudget, *, read_only: bool = False
    ) -> None:
        """Open it; raises HypervisorError. `budget` is shared with other connections to the same daemon."""
        start_event_loop()
        self._asked_for, self._read_only = asked_for, read_only
        self._post = post
        self.uri: str = asked_for
        self._control = self._open()
        # Without it the end of the daemon goes unheard. libvirt-guests took it for the end of the guests and
        # reported those that still ran as complete.
        with contextlib.suppress(libvirt.libvirtError):  # in-process drivers have no peer that could die
            self._control.registerCloseCallback(self._closed, None)
        with translated(self._control):
            # A read-only connection lists all guests and refuses to stop any: said here once, not for each guest.
            if not read_only:
                self._check_rights()
            self.uri = self._control.getURI() or asked_for
            self.driver: str = self._control.getType()
            register = cast("Any", self._control.domainEventRegisterAny)  # pyright: ignore[reportUnknownMemberType]
            self.host: str = self._control.getHostname() or ""
            # Before guests are listed: who goes off between list and registration would be missed.
            # By events 401 instant guests were seen off in 0.05 s; libvirt-guests, which starts a
            # virsh per guest and second, took 44.6 s.
            register(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._heard, None)
            with contextlib.suppress(libvirt.libvirtError):  # not every driver knows it
                register(None, libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, self._rebooted, None)
            # One that died before somebody listened for its end would stay dead unnoticed, and its guests with it.
            if not self._control.isAlive():
                raise ConnectionLost("the connection died while it was being opened")
        self.lanes = Lanes(self._control, self._another, budget, self._crowded)

    def active_guests(self) -> list[Guest]:
        """List the active guests, in three calls whatever their number, and one for each that does not run."""
        with self._asked() as connection:
            kinds = libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE
            active = connection.listAllDomains(kinds)
            # The daemon filters, as isPersistent() and state() would be two more requests for every guest.
            persistent = _uuids(connection, kinds | libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT)
            running = _uuids(connection, kinds | libvirt.VIR_CONNECT_LIST_DOMAINS_RUNNING)
            guests: list[Guest] = []
            for domain in active:
                uuid = domain.UUIDString()
                # Of one that is paused the reason tells whether there is anything left of it.
                state = GuestState.RUNNING if uuid in running else _state(domain)
                if uuid != _DOMAIN_0 and state is not GuestState.OFF:
                    guests.append(self._guest(domain, uuid, persistent=uuid in persistent, state=state))
            return guests

    def inactive_guests(self) -> list[Guest]:
        """List the guests that are defined and off, also those that are kept for their backups."""
        kinds = libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT
        with self._asked() as connection:
            off = connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_INACTIVE)
            paused = connection.listAllDomains(kinds | libvirt.VIR_CONNECT_LIST_DOMAINS_PAUSED)
            return [
                self._guest(domain, domain.UUIDString(), persistent=True, state=GuestState.OFF)
                for domain in [*off, *(domain for domain in paused if _state(domain) is GuestState.OFF)]
            ]

    def look(self, look: Look) -> None:
        """Look at guests until none waits; raises ConnectionLost, or HypervisorError where they cannot be listed."""
        with self._asked() as connection:
            find = partial(_look_up, connection) if look.few else _listed(connection)
            for guest in look:
                look.take(guest, partial(find, guest.uuid), connection)
            # The error of a single guest is that guest's; a connection that died meanwhile must
            # not look like guests that have vanished.
            if not connection.isAlive():
                raise ConnectionLost("the connection to libvirt was lost")

    def look_aside(self, look: Look, timeout: float) -> None:
        """The same beside a look that hangs: on lanes, so that what hangs is counted, and without a listing.

        Raises CallExpired when no lane is free within `timeout` seconds, ConnectionLost, or HypervisorError.
        """
        for guest in look:
            with self.lanes.borrow("quick", guest.uuid, timeout=timeout) as lane:
                look.take(guest, partial(_look_up, lane.connection, guest.uuid), lane.connection)

    def set_on_poweroff(self, uuid: str, action: int) -> None:
        """Set what becomes of a running guest that powers off."""
        with self._asked() as connection:
            domain = connection.lookupByUUIDString(uuid)
            domain.setLifecycleAction(libvirt.VIR_DOMAIN_LIFECYCLE_POWEROFF, action, libvirt.VIR_DOMAIN_AFFECT_LIVE)

    def abort_job(self, uuid: str) -> None:
        """End a save or migration."""
        with self._asked() as connection:
            connection.lookupByUUIDString(uuid).abortJob()

    def drop_image(self, uuid: str) -> None:
        """Remove a guest's saved image, where it has one."""
        with self._asked() as connection:
            remove_image(connection, connection.lookupByUUIDString(uuid))

    def write_metadata(self, uuid: str, key: str, namespace: str, xml: str | None) -> None:
        """Set, or with None remove, our element in the domain's XML: where it runs, and where it is defined."""
        with self._asked() as connection:
            domain = connection.lookupByUUIDString(uuid)
            flags = libvirt.VIR_DOMAIN_AFFECT_LIVE if domain.isActive() else 0
            flags |= libvirt.VIR_DOMAIN_AFFECT_CONFIG if domain.isPersistent() else 0
            set_metadata = cast("Any", domain.setMetadata)  # libvirt-python says that None is not allowed
            set_metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, xml, key, namespace, flags)

    def standing(self, uuid: str) -> Standing:
        """Ask for one guest's state; raises GuestGone when there is no such domain."""
        with self._asked() as connection:
            domain = connection.lookupByUUIDString(uuid)
            standing = standing_of(domain)
            off = standing.state is GuestState.OFF
            return replace(standing, saved=off and bool(domain.hasManagedSaveImage()))

    def _guest(self, domain: libvirt.virDomain, uuid: str, *, persistent: bool, state: GuestState) -> Guest:
        name: str = domain.name()
        return Guest(uri=self.uri, uuid=uuid, name=name, driver=self.driver, persistent=persistent, state=state)

    @contextlib.contextmanager
    def _asked(self) -> Generator[libvirt.virConnect]:
        """A connection for questions that nobody else uses; raises CallExpired where all are taken for too long."""
        with self.lanes.borrow("question", timeout=QUERY_TIMEOUT) as lane, translated(lane.connection):
            yield lane.connection

    def _check_rights(self) -> None:
        """Raise the libvirt error of a read-only connection, by a request that needs rights and does nothing."""
        try:
            self._control.domainXMLFromNative("lastcall", "", 0)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_OPERATION_DENIED:
                raise

    def _open(self) -> libvirt.virConnect:
        with translated():
            # open() takes no timeout, and that of a frozen daemon does not return: only
            # workers that can be abandoned come here.
            # Who watches a neighbour must not be able to touch it, whatever is wrong with our own code.
            open_one = libvirt.openReadOnly if self._read_only else libvirt.open
            connection = open_one(None if self._asked_for == "default" else self._asked_for)
        with contextlib.suppress(libvirt.libvirtError):
            connection.setKeepAlive(*KEEPALIVE)
        return connection

    def _another(self) -> libvirt.virConnect:
        """A further connection; a driver inside this process would show another world to each, so it has one only."""
        if self.uri.startswith("test://"):
            return self._control
        try:
            return self._open()
        except HypervisorError as error:
            raise ConnectionLost(f"no further connection to {self.uri}: {error}", error.remedy) from None

    def _heard(self, _connection: object, domain: libvirt.virDomain, event: int, detail: int, _opaque: Any) -> None:
        found = guest_event(self.uri, domain.UUIDString(), event, detail)
        if found:
            self._post(found)

    def _rebooted(self, _connection: object, domain: libvirt.virDomain, _opaque: Any) -> None:
        self._post(GuestRebooted(self.uri, domain.UUIDString()))

    def _crowded(self, uuids: Collection[str]) -> None:
        self._post(LanesCrowded(self.uri, uuids))

    def _closed(self, _connection: object, reason: int, _opaque: Any) -> None:
        if reason != _CLOSED_BY_US:
            self._post(ConnectionClosed(self.uri, _CLOSE_REASONS.get(reason, "unknown reason")))


def _uuids(connection: libvirt.virConnect, kinds: int) -> set[str]:
    return {domain.UUIDString() for domain in connection.listAllDomains(kinds)}


def _look_up(connection: libvirt.virConnect, uuid: str) -> tuple[libvirt.virDomain, bool]:
    domain = connection.lookupByUUIDString(uuid)
    with contextlib.suppress(libvirt.libvirtError):  # not every driver starts guests at boot
        return domain, bool(domain.autostart())
    return domain, False


def _listed(connection: libvirt.virConnect) -> Callable[[str], tuple[libvirt.virDomain, bool]]:
    """Look guests up in two listings, whatever their number."""
    autostarted = _uuids(connection, libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART)
    domains = {domain.UUIDString(): domain for domain in connection.listAllDomains()}

    def find(uuid: str) -> tuple[libvirt.virDomain, bool]:
        # One that has come back since is found by itself, one that is gone says so.
        domain = domains.get(uuid) or connection.lookupByUUIDString(uuid)
        return domain, uuid in autostarted

    return find


def _state(domain: libvirt.virDomain) -> GuestState:
    try:
        return standing_of(domain).state
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise
        return GuestState.OFF  # else one that is gone meanwhile would cost everybody the list
