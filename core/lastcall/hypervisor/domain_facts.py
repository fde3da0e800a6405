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
_ONLY_AT_THE_SOURCE = {libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_OPERATION_UNSUPPORTED}
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


def facts_of(domain: libvirt.virDomain, *, autostart: bool) -> GuestFacts:
    """Read one domain's XML, which needs no QEMU; its condition is yet to be asked for. Raises libvirtError."""
    tree = ET.fromstring(domain.XMLDesc(0))  # noqa: S314  written by libvirt
    element = tree.find(f"./metadata/{{{NAMESPACE}}}guest")
    memory = tree.find("./memory")
    return GuestFacts(
        metadata=texts_of(element) if element is not None else {},
        unsaveable=unsaveable(tree),
        restarts=tree.findtext("./on_poweroff") == "restart",
        memory=int(memory.text or 0) * _UNITS.get(memory.get("unit", "KiB"), 1) if memory is not None else 0,
        autostart=autostart,
    )


def unsaveable(tree: ET.Element) -> str:
    """Say why a guest cannot be saved, or nothing."""
    return next((f"it has {what}" for path, what in _UNSAVEABLE if tree.find(path) is not None), "")


def condition_of(domain: libvirt.virDomain, guest: Guest) -> Condition:
    """What stands in the way of a guest. Raises nothing; may wait for somebody who holds the domain's job."""
    try:
        return _condition(domain, guest)
    except libvirt.libvirtError:
        return Condition.FREE  # a driver that tells nothing of jobs


def _condition(domain: libvirt.virDomain, guest: Guest) -> Condition:
    if guest.state is GuestState.OFF:
        return Condition.FREE
    qemu = guest.driver == "QEMU"
    # libvirt answers this without QEMU's monitor; the job itself is asked for only where one is under way. A monitor
    # that is merely occupied is none: asked for the job of a QEMU that hung, libvirt did not answer for 30 s.
    if qemu and cast("Any", domain).controlInfo()[0] == libvirt.VIR_DOMAIN_CONTROL_JOB:
        busy = _job(domain)
        if busy is not None:
            return busy
    if guest.state is GuestState.PAUSED:
        reason = _reason(domain, libvirt.VIR_DOMAIN_PAUSED)
        if reason == libvirt.VIR_DOMAIN_PAUSED_MIGRATION:
            # So does libvirt call every guest that was restored with its pause, too: only a job tells the two apart.
            # Taken for one that arrives it was left alone, and the host took its memory with it.
            return (_job(domain) or Condition.FREE) if qemu else Condition.ARRIVING
        return _PAUSED_FOR.get(reason, Condition.FREE)
    postcopy = guest.state is GuestState.RUNNING and qemu
    if postcopy and _reason(domain, libvirt.VIR_DOMAIN_RUNNING) in _RUNNING_POSTCOPY:
        return Condition.ARRIVING
    return Condition.FREE


def _job(domain: libvirt.virDomain) -> Condition | None:
    """What somebody's job on the domain means for it; None where there is none that matters."""
    try:
        job: dict[str, int] = cast("Any", domain).jobStats()
    except libvirt.libvirtError as error:
        # "migration statistics are available only on the source host", but off is off.
        if error.get_error_code() in _ONLY_AT_THE_SOURCE and domain.isActive():
            return Condition.ARRIVING
        raise
    return _JOBS.get(job.get("operation", -1))


def _reason(domain: libvirt.virDomain, state: int) -> int:
    """The reason of the state, if the guest is (still) in it."""
    number, reason = cast("tuple[int, int]", domain.state())  # libvirt-python says that these are texts
    return reason if number == state else 0
