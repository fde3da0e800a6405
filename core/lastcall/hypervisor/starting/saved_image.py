"""The image that a managed save has left: starting from it, and whether it is why a start was refused."""

from typing import Any, cast
from xml.etree import ElementTree as ET

import libvirt

from lastcall.errors import BadImage
from lastcall.hypervisor.events import standing_of
from lastcall.hypervisor.libvirt_errors import translate

# QEMU's own words, which it says in English whatever the daemon's language is. Before the first line came what it
# stumbled over: the end of a file that was cut, another machine type, another size of memory.
_NOT_LOADED = ("load of migration failed", "Not a migration stream")
# A machine type or CPU that this QEMU or host does not have (any more).
_NOT_HERE = {libvirt.VIR_ERR_CONFIG_UNSUPPORTED, libvirt.VIR_ERR_CPU_INCOMPATIBLE}


def start_domain(domain: libvirt.virDomain, *, bypass_cache: bool) -> None:
    """Start it, from its image where it has one. Raises BadImage where that does not load, else libvirtError."""
    if standing_of(domain).kept:
        domain.resume()  # it has begun anew and waits; libvirt starts nobody who is there
        return
    try:
        if bypass_cache:
            domain.createWithFlags(libvirt.VIR_DOMAIN_START_BYPASS_CACHE)
        else:
            domain.create()  # which every driver knows
    except libvirt.libvirtError as refused:
        if _is_why(domain, refused):
            error = translate(refused)
            raise BadImage(f"its saved image does not load: {error}", code=error.code) from None
        raise


def remove_image(connection: libvirt.virConnect, domain: libvirt.virDomain) -> None:
    """Remove its image, so that its next start is that of its own definition."""
    if domain.isActive() or not domain.hasManagedSaveImage(0):
        return
    domain.managedSaveRemove(0)
    # After a start from an image that failed, libvirt 9.0 starts the domain by the XML of that image until it is
    # defined anew: with a machine type that is no more, it could not be started at all.
    next_start = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE)
    own = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE | libvirt.VIR_DOMAIN_XML_INACTIVE)
    if next_start != own:
        connection.defineXML(own)


def _is_why(domain: libvirt.virDomain, refused: libvirt.libvirtError) -> bool:
    """Whether a start was refused for the image, and not for what any start of this guest needs."""
    try:
        if not domain.hasManagedSaveImage(0):
            return False
        own = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    except libvirt.libvirtError:
        return False  # a driver without such images, or a connection that has died: of that nothing follows
    try:
        saved = cast("Any", domain).managedSaveGetXMLDesc(0)
    except libvirt.libvirtError as unread:
        # Its head is broken: cut, overwritten, of a version that nobody knows. A file that cannot be opened may be on
        # a disk that is not there yet.
        return unread.get_error_code() != libvirt.VIR_ERR_SYSTEM_ERROR
    if any(words in (refused.get_error_message() or "") for words in _NOT_LOADED):
        return True
    told, known = ET.fromstring(saved), ET.fromstring(own)  # noqa: S314  written by libvirt
    if told.findtext("uuid") != known.findtext("uuid"):
        return True
    return refused.get_error_code() in _NOT_HERE and _hardware(told) != _hardware(known)


def _hardware(domain: ET.Element) -> tuple[str | None, bytes]:
    """The machine type and the CPU that a domain's XML asks for."""
    kind, cpu = domain.find("./os/type"), domain.find("cpu")
    return None if kind is None else kind.get("machine"), b"" if cpu is None else ET.tostring(cpu)
