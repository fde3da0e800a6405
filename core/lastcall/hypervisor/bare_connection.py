"""A bare libvirt connection, without events, lanes and workers: for one question, and for the world of the demo."""

from collections.abc import Iterable

import libvirt

from lastcall.api.guests import GuestState
from lastcall.hypervisor.event_loop import start_event_loop
from lastcall.hypervisor.libvirt_errors import translated

WORLD = "test:///default"
_LISTED = {
    libvirt.VIR_CONNECT_LIST_DOMAINS_RUNNING: GuestState.RUNNING,
    libvirt.VIR_CONNECT_LIST_DOMAINS_PAUSED: GuestState.PAUSED,
    libvirt.VIR_CONNECT_LIST_DOMAINS_SHUTOFF: GuestState.OFF,
}
_OTHERS = {
    libvirt.VIR_DOMAIN_BLOCKED: GuestState.RUNNING,
    libvirt.VIR_DOMAIN_SHUTDOWN: GuestState.RUNNING,  # on its way down, not off yet
    libvirt.VIR_DOMAIN_PMSUSPENDED: GuestState.SUSPENDED,
    libvirt.VIR_DOMAIN_CRASHED: GuestState.CRASHED,
}
_DOMAIN = "<domain type='test'><name>{}</name><memory unit='MiB'>64</memory><os><type>hvm</type></os></domain>"


def ask_for_active(uri: str) -> frozenset[str]:
    """The UUIDs of a connection's active guests. Blocks for as long as a daemon hangs; raises HypervisorError."""
    start_event_loop()  # without it libvirt prints its errors to standard error
    with translated():
        connection = libvirt.open(uri)
        return frozenset(
            domain.UUIDString() for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
        )


def ask_for_states(uri: str) -> dict[str, GuestState]:
    """Every guest of a connection by its UUID, and what it does. Blocks for as long as a daemon hangs; raises
    HypervisorError.
    """
    start_event_loop()
    with translated():
        connection = libvirt.open(None if uri == "default" else uri)
        found = dict[str, GuestState]()
        # A list for each state is a question each, whatever the number of guests; the odd ones are asked one by one.
        for flag, state in _LISTED.items():
            found |= {domain.UUIDString(): state for domain in connection.listAllDomains(flag)}
        for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_OTHER):
            found[domain.UUIDString()] = _state_of(domain)
        return found


def ask_for_names(uri: str) -> frozenset[str]:
    """The names of a connection's active guests. Blocks for as long as a daemon hangs; raises HypervisorError."""
    start_event_loop()
    with translated():
        connection = libvirt.open(uri)
        return frozenset(domain.name() for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE))


def _state_of(domain: libvirt.virDomain) -> GuestState:
    """Of one that is gone by now nobody knows."""
    try:
        return _OTHERS.get(int(domain.state()[0]), GuestState.UNKNOWN)
    except libvirt.libvirtError:
        return GuestState.UNKNOWN


def make_world(names: Iterable[str]) -> libvirt.virConnect:
    """Define and start these guests, and no others; the world of libvirt's test driver in this process, which touches
    nothing outside. It is there as long as the returned connection is.
    """
    start_event_loop()
    connection = libvirt.open(WORLD)
    for domain in connection.listAllDomains():
        if domain.isActive():
            domain.destroy()
        domain.undefine()
    for name in names:
        connection.defineXML(_DOMAIN.format(name)).create()
    return connection
