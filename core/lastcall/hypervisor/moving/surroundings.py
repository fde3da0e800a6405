"""Another host as guests would find it that run here: processor, namesakes, networks and pools, versions."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from lastcall.api.guests import Guest, GuestState
from lastcall.hypervisor.events import standing_of
from lastcall.hypervisor.libvirt_errors import translated
from lastcall.hypervisor.moving.far_host import FarHost
from lastcall.hypervisor.moving.other_hosts import Surroundings, Welcome
from lastcall.hypervisor.starting.needs import needed_by

_LIVE = libvirt.VIR_DOMAIN_XML_MIGRATABLE | libvirt.VIR_DOMAIN_XML_SECURE
_ITS_HOST = frozenset({"host-passthrough", "host-model", "maximum"})  # modes that are what this host has


def look_around(far: FarHost, here: libvirt.virConnect, guests: Sequence[Guest]) -> Surroundings:
    """Compare. Blocks for as long as either daemon does; raises HypervisorError."""
    with translated():
        ours, theirs = _host(here), _host(far.connection)
        if ours.findtext("./host/uuid") == theirs.findtext("./host/uuid"):
            return Surroundings(free=far.free, is_here=True)
        found = {guest.key: _welcome(far.connection, here, ours, guest) for guest in guests}
        return Surroundings(
            free=far.free,
            older=tuple(_older(far.connection, here)),
            guests={key: welcome for key, welcome in found.items() if welcome and welcome != Welcome()},
        )


def _host(connection: libvirt.virConnect) -> ET.Element:
    return ET.fromstring(connection.getCapabilities())  # noqa: S314  written by libvirt


def _older(there: libvirt.virConnect, here: libvirt.virConnect) -> Iterator[tuple[str, str, str]]:
    versions: list[tuple[str, Callable[[Any], int]]] = [
        ("libvirt", lambda connection: connection.getLibVersion()),
        ("QEMU", lambda connection: connection.getVersion()),
    ]
    for what, version in versions:
        theirs, ours = _major(version(there)), _major(version(here))
        if theirs < ours:
            yield what, ".".join(map(str, theirs)), ".".join(map(str, ours))


def _major(number: int) -> tuple[int, int]:
    """Both count so: 9001002 is 9.1.2. What differs in the last part alone is mended, and nothing new."""
    return number // 1_000_000, number // 1000 % 1000


def _welcome(there: libvirt.virConnect, here: libvirt.virConnect, ours: ET.Element, guest: Guest) -> Welcome | None:
    try:
        xml = ET.fromstring(here.lookupByUUIDString(guest.uuid).XMLDesc(_LIVE))  # noqa: S314  written by libvirt
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None  # it has gone off meanwhile
        raise
    double, namesake = (
        _found(lambda: there.lookupByUUIDString(guest.uuid)),
        _found(lambda: there.lookupByName(guest.name)),
    )
    other = namesake.UUIDString() if namesake is not None else guest.uuid
    return Welcome(
        cpu=_unsuitable(there, xml, ours),
        namesake="" if other == guest.uuid else other,
        double=_state(double),
        lacks=tuple(_lacks(there, xml)),
    )


def _state(domain: libvirt.virDomain | None) -> GuestState | None:
    return None if domain is None else standing_of(domain).state


def _found(find: Callable[[], libvirt.virDomain]) -> libvirt.virDomain | None:
    try:
        return find()
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def _unsuitable(there: libvirt.virConnect, xml: ET.Element, ours: ET.Element) -> str:
    """Why that host's processor is none for the guest. One that is emulated needs none."""
    cpu = xml.find("./cpu")
    if xml.get("type") != "kvm" or cpu is None:
        return ""
    wanted = ours.find("./host/cpu") if cpu.get("mode") in _ITS_HOST else cpu
    if wanted is None:
        return ""
    try:
        answer = there.compareCPU(ET.tostring(wanted, "unicode"), libvirt.VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_CPU_INCOMPATIBLE:
            return (error.get_error_message() or str(error)).strip()
        return ""  # of a model that libvirt cannot compare nothing is known
    return "they are incompatible" if answer == libvirt.VIR_CPU_COMPARE_INCOMPATIBLE else ""


def _lacks(there: libvirt.virConnect, xml: ET.Element) -> Iterator[str]:
    needed = needed_by(xml)
    for name in needed.networks:
        if not _is_active(lambda name=name: there.networkLookupByName(name)):
            yield f"network {name}"
    for name in dict.fromkeys(pool for pool, _ in needed.volumes):
        if not _is_active(lambda name=name: there.storagePoolLookupByName(name)):
            yield f"storage pool {name}"


def _is_active(find: Callable[[], Any]) -> bool:
    with contextlib.suppress(libvirt.libvirtError):
        return bool(find().isActive())
    return False
