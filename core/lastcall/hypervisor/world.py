"""A world of guests in libvirt's in-process test driver: it lives in this process and touches nothing outside."""

from collections.abc import Iterable

import libvirt

from lastcall.hypervisor.events import start_event_loop

WORLD = "test:///default"
_DOMAIN = "<domain type='test'><name>{}</name><memory unit='MiB'>64</memory><os><type>hvm</type></os></domain>"


def make_world(names: Iterable[str]) -> libvirt.virConnect:
    """Define and start these guests, and no others; the world is there as long as the returned connection is."""
    start_event_loop()
    connection = libvirt.open(WORLD)
    for domain in connection.listAllDomains():
        if domain.isActive():
            domain.destroy()
        domain.undefine()
    for name in names:
        connection.defineXML(_DOMAIN.format(name)).create()
    return connection
