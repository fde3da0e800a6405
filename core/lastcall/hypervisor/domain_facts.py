"""What a domain's XML and state tell of a guest, beyond its state. Nothing here asks the guest or waits for it."""

from typing import Any, cast
from xml.etree import ElementTree as ET

import libvirt

from lastcall.api.guests import Guest, GuestState
from lastcall.config.metadata import NAMESPACE, texts_of
from lastcall.hypervisor.guest_facts import Condition, GuestFacts

# Being paused has reasons, and most are somebody else's work under way: a guest that is resumed in the middle of a
# migration or save would run on while its memory is copied.
_PAUSED_FOR = {
    libvirt.VIR_DOMAIN_PAUSED_MIGRATION: Condition.ARRIVING,
    libvirt.VIR_DOMAIN_PAUSED_POSTCOPY: Condition.ARRIVING,
    libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED: Condition.ARRIVING,
    libvirt.VIR_DOMAIN_PAUSED_SAVE: Condition.SAVING,
    libvirt.VIR_DOMAIN_PAUSED_DUMP: Condition.SAVING,
    libvirt.VIR_DOMAIN_PAUSED_SNAPSHOT: Condition.SAVING,
    libvirt.VIR_DOMAIN_PAUSED_STARTING_UP: Condition.SAVING,
    # Its disk takes no more writes: resumed before there is room it would stop at the next one.
    libvirt.VIR_DOMAIN_PAUSED_IOERROR: Condition.IO_ERROR,
}
_RUNNING_POSTCOPY = {libvirt.VIR_DOMAIN_RUNNING_POSTCOPY, libvirt.VIR_DOMAIN_RUNNING_POSTCOPY_FAILED}
_JOBS = {
    libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN: Condition.ARRIVING,
    libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT: Condition.LEAVING,
    libvirt.VIR_DOMAIN_JOB_OPERATION_SAVE: Condition.SAVING,
    libvirt.VIR_DOMAIN_JOB_OPERATION_SNAPSHOT: Condition.SAVING,
    libvirt.VIR_DOMAIN_JOB_OPERATION_DUMP: Condition.SAVING,
}
_UNITS = {"b": 1, "bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "KB": 1000, "MB": 1000**2, "GB": 1000**3}
# Devices whose state QEMU cannot write into an image; libvirt refuses the save, or QEMU hangs in it.
# With a PCI host device QEMU may spin at 100 % for ever, so the XML is looked at before anybody tries.
_UNSAVEABLE = (
    ("./devices/hostdev[@type='pci']", "a PCI host device"),
    ("./devices/hostdev[@type='mdev']", "a mediated host device"),
    ("./devices/hostdev[@type='scsi_host']", "a SCSI host device"),
    ("./devices/interface[@type='hostdev']", "a PCI host device as network card"),
    ("./devices/filesystem/driver[@type='virtiofs']", "a virtiofs file system"),
    ("./launchSecurity", "encrypted memory"),
)


def facts_of(domain: libvirt.virDomain, guest: Guest, *, autostart: bool) -> GuestFacts:
    """Look at one domain; raises libvirtError."""
    tree = ET.fromstring(domain.XMLDesc(0))  # noqa: S314  written by libvirt
    element = tree.find(f"./metadata/{{{NAMESPACE}}}guest")
    memory = tree.find("./memory")
    try:
        condition = _condition(domain, guest)
    except libvirt.libvirtError:
        condition = Condition.FREE  # a driver that tells nothing of jobs; its metadata counts all the same
    return GuestFacts(
        metadata=texts_of(element) if element is not None else {},
        condition=condition,
        unsaveable=unsaveable(tree),
        restarts=tree.findtext("./on_poweroff") == "restart",
        memory=int(memory.text or 0) * _UNITS.get(memory.get("unit", "KiB"), 1) if memory is not None else 0,
        autostart=autostart,
    )


def unsaveable(tree: ET.Element) -> str:
    """Say why a guest cannot be saved, or nothing."""
    return next((f"it has {what}" for path, what in _UNSAVEABLE if tree.find(path) is not None), "")


def _condition(domain: libvirt.virDomain, guest: Guest) -> Condition:
    if guest.state is GuestState.OFF:
        return Condition.FREE
    ours = cast("Any", domain)  # libvirt-python says that all of these are texts
    # libvirt answers this without QEMU's monitor; the job itself is asked for only where one is under way.
    if guest.driver == "QEMU" and ours.controlInfo()[0] != libvirt.VIR_DOMAIN_CONTROL_OK:
        job: dict[str, int] = ours.jobStats()
        busy = _JOBS.get(job.get("operation", -1))
        if busy is not None:
            return busy
    if guest.state is GuestState.PAUSED:
        return _PAUSED_FOR.get(_reason(domain, libvirt.VIR_DOMAIN_PAUSED), Condition.FREE)
    postcopy = guest.state is GuestState.RUNNING and guest.driver == "QEMU"
    if postcopy and _reason(domain, libvirt.VIR_DOMAIN_RUNNING) in _RUNNING_POSTCOPY:
        return Condition.ARRIVING
    return Condition.FREE


def _reason(domain: libvirt.virDomain, state: int) -> int:
    """The reason of the state, if the guest is (still) in it."""
    number, reason = cast("tuple[int, int]", domain.state())  # libvirt-python says that these are texts
    return reason if number == state else 0
