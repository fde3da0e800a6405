"""A bare libvirt connection, without events, lanes and workers: for one question, and for the world of the demo."""

from collections.abc import Iterable

import libvirt

from lastcall.hypervisor.events import start_event_loop
from lastcall.hypervisor.libvirt_errors import translated

WORLD = "test:///default"
_DOMAIN = "<domain type='test'><name>{}</name><memory unit='MiB'>64</memory><os><type>hvm</type></os></domain>"


def ask_for_active(uri: str) -> frozenset[str]:
    """The UUIDs of a connection's active guests. Blocks for as long as a daemon hangs; raises HypervisorError."""
    start_event_loop()  # without it libvirt prints its errors to standard error
    with translated():
        connection = libvirt.open(uri)
        return frozenset(
            domain.UUIDString() for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
        )


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
