"""What a guest needs for its start, by its XML: networks, storage pools, and files and devices of the host."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import libvirt

from lastcall.formats.values import value
from lastcall.hypervisor.ports import StartNeeds

_NETWORK_CARDS = Path("/sys/class/net")
# Somebody has undefined it, or the driver has none: to wait for that is no use, libvirt says what is wrong.
_UNKNOWN = {
    libvirt.VIR_ERR_NO_NETWORK,
    libvirt.VIR_ERR_NO_STORAGE_POOL,
    libvirt.VIR_ERR_NO_SUPPORT,
    libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
}


@value
class Needed:
    """What a domain's XML names. `volumes`: pool and volume."""

    networks: tuple[str, ...]
    volumes: tuple[tuple[str, str], ...]
    paths: tuple[Path, ...]


def needed_by(tree: ET.Element) -> Needed:
    """Read it from a domain's XML."""
    networks = (one.get("network") for one in tree.iterfind("./devices/interface[@type='network']/source"))
    volumes = ((one.get("pool") or "", one.get("volume") or "") for one in _disk_sources(tree))
    return Needed(
        tuple(dict.fromkeys(filter(None, networks))),
        tuple(dict.fromkeys(pair for pair in volumes if all(pair))),
        tuple(dict.fromkeys(_paths(tree))),
    )


def _disk_sources(tree: ET.Element) -> Iterator[ET.Element]:
    """Without those that may be missing: libvirt starts the guest all the same."""
    for source in tree.iterfind("./devices/disk/source"):
        if source.get("startupPolicy") != "optional":
            yield source


def _paths(tree: ET.Element) -> Iterator[Path]:
    sources = [*_disk_sources(tree), *tree.iterfind("./devices/filesystem/source")]
    named = [source.get(key) for source in sources for key in ("file", "dev", "dir")]
    named += [tree.findtext(f"./os/{key}") for key in ("kernel", "initrd", "dtb", "loader")]
    named += [one.text for one in tree.iterfind("./devices/rng/backend[@model='random']")]
    yield from (Path(path) for path in named if path and path.startswith("/"))
    cards = [one.get("bridge") for one in tree.iterfind("./devices/interface[@type='bridge']/source")]
    cards += [one.get("dev") for one in tree.iterfind("./devices/interface[@type='direct']/source")]
    yield from (_NETWORK_CARDS / card for card in cards if card and "/" not in card)


def supply(connection: libvirt.virConnect, domain: libvirt.virDomain) -> tuple[StartNeeds, tuple[Path, ...]]:
    """Start the networks and pools that it needs and that are inactive; what it lacks then, and the paths it names.

    Blocks, for as long as a pool takes to be mounted. Raises libvirtError.
    """
    return begin_needed(connection, ET.fromstring(_xml_of(domain)))  # noqa: S314  written by libvirt


def begin_needed(
    connection: libvirt.virConnect, tree: ET.Element, *, volumes: bool = True
) -> tuple[StartNeeds, tuple[Path, ...]]:
    """The same by a domain's XML, which may not be defined here. Without `volumes` it brings its disks along."""
    needed = needed_by(tree)
    begun, missing = list[str](), list[str]()
    for name in needed.networks:
        _begin(f"network {name}", lambda name=name: connection.networkLookupByName(name), begun, missing)
    for name in dict.fromkeys(pool for pool, _ in needed.volumes):
        _begin(f"storage pool {name}", lambda name=name: connection.storagePoolLookupByName(name), begun, missing)
    for pool, volume in needed.volumes if volumes else ():
        if f"storage pool {pool}" not in missing and not _has_volume(connection, pool, volume):
            missing.append(f"volume {volume} of storage pool {pool}")
    return StartNeeds(missing=tuple(missing), begun=tuple(begun)), needed.paths


def _begin(what: str, find: Callable[[], Any], begun: list[str], missing: list[str]) -> None:
    """Start a network or pool that is inactive, and note that it was begun, or is missing."""
    try:
        found = find()
    except libvirt.libvirtError as error:
        if error.get_error_code() not in _UNKNOWN:
            missing.append(what)  # a daemon of its own that is not there yet
        return
    try:
        if not found.isActive():
            found.create()
            begun.append(what)
    except libvirt.libvirtError:
        if not found.isActive():  # else somebody else was faster
            missing.append(what)


def _has_volume(connection: libvirt.virConnect, pool: str, volume: str) -> bool:
    try:
        found = connection.storagePoolLookupByName(pool)
        try:
            found.storageVolLookupByName(volume)
        except libvirt.libvirtError:
            found.refresh(0)  # libvirt knows what was there when the pool was started
            found.storageVolLookupByName(volume)
    except libvirt.libvirtError as error:
        return error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL
    return True


def _xml_of(domain: libvirt.virDomain) -> str:
    """The XML by which it is going to be started: that of its saved image, where it has one that can be read."""
    try:
        if domain.hasManagedSaveImage(0):
            return cast("Any", domain).managedSaveGetXMLDesc(0)
    except libvirt.libvirtError:
        pass  # a driver that knows none, or an image that is broken
    return domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)


def is_here(uri: str) -> bool:
    """Whether the paths of a connection's guests are those of this host."""
    parts = urlsplit(uri)
    return not parts.netloc and parts.scheme.partition("+")[2] in {"", "unix"}
