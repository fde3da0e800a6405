"""What keeps a guest from being saved, by its XML: devices whose state QEMU cannot write into an image.

libvirt refuses such a save at once, or QEMU hangs in it: with a PCI host device it may spin at 100 % for ever. So the
XML is looked at before anybody tries. Where nothing else is said, libvirt 9.0 with QEMU 7.2 was seen to refuse it.
"""

from collections.abc import Callable, Iterator
from typing import cast
from xml.etree import ElementTree as ET

from lastcall.formats.decoding import from_json

_QEMU = "{http://libvirt.org/schemas/domain/qemu/1.0}"
# What libvirt's sources say, of later releases too, where this host has no such device: host devices, vDPA, invtsc.
_DEVICES = (
    ("./devices/hostdev[@type='pci']", "a PCI host device"),
    ("./devices/hostdev[@type='mdev']", "a mediated host device"),
    ("./devices/hostdev[@type='scsi']", "a SCSI host device"),
    ("./devices/hostdev[@type='scsi_host']", "a SCSI host device"),
    ("./devices/hostdev[@mode='capabilities']", "a host device"),
    ("./devices/interface[@type='hostdev']", "a PCI host device as network card"),
    ("./devices/interface[@type='vdpa']", "a vDPA network card"),
    ("./devices/filesystem/driver[@type='virtiofs']", "a virtiofs file system"),
    ("./devices/disk/transient", "a transient disk"),
    ("./devices/disk/target[@bus='nvme']", "an emulated NVMe controller"),
    ("./devices/controller[@type='nvme']", "an emulated NVMe controller"),
    # virgl keeps state in the host's graphics card, says QEMU's source.
    ("./devices/video/model[@type='virtio']/acceleration[@accel3d='yes']", "a graphics card with 3D acceleration"),
    ("./launchSecurity", "encrypted memory"),
)
_FORMATS = frozenset({"qcow", "vmdk", "vdi", "vpc", "vhdx", "parallels"})  # raw, qcow2, qed and read-only fat are fine
_EMULATED = {
    "ivshmem-doorbell": "a shared memory device",
    "nvme": "an emulated NVMe controller",
    "vfio-pci": "a PCI host device",
    "vhost-user-fs-pci": "a virtiofs file system",
}
# Without one of these in its XML, which most guests are, it has none of them.
_SIGNS = (
    "hostdev", "virtiofs", "launchSecurity", "shmem", "vdpa", "transient", "nvme", "accel3d", "invtsc", "vfio", "vhost",
    *_FORMATS,
)  # fmt: skip


def may_be_unsaveable(text: str) -> bool:
    """Whether it is worth while to search a domain's XML for it: of a thousand guests hardly one has such a device."""
    return any(sign in text for sign in _SIGNS)


def unsaveable(tree: ET.Element) -> str:
    """Say why a guest cannot be saved, or nothing."""
    named = (what for path, what in _DEVICES if tree.find(path) is not None)
    others = (what for find in _OTHERS for what in find(tree))
    return next((f"it has {what}" for found in (named, others) for what in found), "")


def _shared_memory(tree: ET.Element) -> Iterator[str]:
    """Only with the role `master` its content goes with the guest; without a role QEMU takes it for a peer's."""
    if any(one.get("role") != "master" for one in tree.iterfind("./devices/shmem")):
        yield "a shared memory device"


def _formats(tree: ET.Element) -> Iterator[str]:
    kinds = [one.get("type") for one in tree.iterfind("./devices/disk/driver")]
    kinds += [one.get("type") for one in tree.iterfind("./devices/disk//backingStore/format")]
    yield from (f"a disk in the format {kind}" for kind in kinds if kind in _FORMATS)


def _invariant_clock(tree: ET.Element) -> Iterator[str]:
    required = tree.find("./cpu/feature[@name='invtsc'][@policy='require']") is not None
    if required and tree.find("./clock/timer[@name='tsc'][@frequency]") is None:
        yield "an invariant TSC without a frequency"


def _command_line(tree: ET.Element) -> Iterator[str]:
    """Devices that libvirt hands to QEMU as somebody has written them."""
    for argument in tree.iterfind(f"./{_QEMU}commandline/{_QEMU}arg"):
        kind, properties = _device(argument.get("value") or "")
        if kind == "ivshmem-plain" and properties.get("master") not in {"on", "true", "yes"}:
            yield "a shared memory device"
        elif kind in _EMULATED:
            yield _EMULATED[kind]


def _device(value: str) -> tuple[str, dict[str, str]]:
    """A device's kind and properties: `kind,property=value`, or JSON."""
    if value.startswith("{"):
        try:
            given = from_json(value)
        except ValueError:
            return "", {}
        found = cast("dict[str, object]", given) if isinstance(given, dict) else {}
        return str(found.get("driver", "")), {key: str(one).lower() for key, one in found.items()}
    kind, *rest = value.split(",")
    return kind, {key: one for key, _, one in (part.partition("=") for part in rest)}


_OTHERS: tuple[Callable[[ET.Element], Iterator[str]], ...] = (_shared_memory, _formats, _invariant_clock, _command_line)
