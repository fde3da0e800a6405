"""What a domain's XML and state tell of a guest, beyond its state. Nothing here asks the guest or waits for it."""

from typing import Any, cast
from xml.etree import ElementTree as ET

import libvirt

from lastcall.api.guests import Guest, GuestState
from lastcall.config.metadata import NAMESPACE, cut_down, texts_of
from lastcall.hypervisor.events import state_of
from lastcall.hypervisor.ports import Condition, GuestFacts, OtherJob
from lastcall.hypervisor.stopping.save_blockers import may_be_unsaveable, unsaveable

_PAUSED_FOR = {
    libvirt.VIR_DOMAIN_PAUSED_POSTCOPY: Condition.ARRIVING,
    libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED: Condition.ARRIVING,
    # Its disk takes no more writes: resumed before there is room it would stop at the next one.
    libvirt.VIR_DOMAIN_PAUSED_IOERROR: Condition.IO_ERROR,
}
# Being paused has reasons, and most are somebody else's work under way: a guest that is resumed in the middle of a
# save would run on while its memory is copied.
_PAUSED_BY = {
    libvirt.VIR_DOMAIN_PAUSED_SAVE: OtherJob.SAVE,
    libvirt.VIR_DOMAIN_PAUSED_DUMP: OtherJob.DUMP,
    libvirt.VIR_DOMAIN_PAUSED_SNAPSHOT: OtherJob.SNAPSHOT,
    libvirt.VIR_DOMAIN_PAUSED_STARTING_UP: OtherJob.START,
}
_RUNNING_POSTCOPY = {libvirt.VIR_DOMAIN_RUNNING_POSTCOPY, libvirt.VIR_DOMAIN_RUNNING_POSTCOPY_FAILED}
_INCOMING = libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN
_JOBS = {
    libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT: OtherJob.MIGRATION,
    libvirt.VIR_DOMAIN_JOB_OPERATION_SAVE: OtherJob.SAVE,
    libvirt.VIR_DOMAIN_JOB_OPERATION_SNAPSHOT: OtherJob.SNAPSHOT,
    libvirt.VIR_DOMAIN_JOB_OPERATION_SNAPSHOT_REVERT: OtherJob.SNAPSHOT,
    libvirt.VIR_DOMAIN_JOB_OPERATION_DUMP: OtherJob.DUMP,
    libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP: OtherJob.BACKUP,
}
# A monitor that is occupied or broken is not asked for a job: of a QEMU that hung libvirt did not answer for 30 s.
_ANSWERS = {libvirt.VIR_DOMAIN_CONTROL_OK, libvirt.VIR_DOMAIN_CONTROL_JOB}
_ONLY_AT_THE_SOURCE = {libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_OPERATION_UNSUPPORTED}
_UNITS = {"b": 1, "bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "KB": 1000, "MB": 1000**2, "GB": 1000**3}
# There the power button is an ACPI device. Others have one of their own, as s390x and ppc64, whose XML has no <acpi/>.
_ACPI = frozenset({"x86_64", "i686", "aarch64", "riscv64", "loongarch64"})
_QEMU = frozenset({"qemu", "kvm", "hvf"})


def facts_of(domain: libvirt.virDomain, *, autostart: bool) -> GuestFacts:
    """Read one domain's XML, which needs no QEMU; its condition is yet to be asked for. Raises libvirtError."""
    text = domain.XMLDesc(0)
    tree = ET.fromstring(text)  # noqa: S314  written by libvirt
    # A path is looked for in Python, a mere name in C; of a thousand guests hardly one has what the paths are for.
    element = tree.find(f"./metadata/{{{NAMESPACE}}}guest") if NAMESPACE in text else None
    memory = tree.find("memory")
    return GuestFacts(
        metadata=cut_down(texts_of(element)) if element is not None else {},
        unsaveable=unsaveable(tree) if may_be_unsaveable(text) else "",
        deaf_to_acpi="<acpi/>" not in text and _has_no_power_button(tree),
        restarts=tree.findtext("on_poweroff") == "restart",
        memory=int(memory.text or 0) * _UNITS.get(memory.get("unit", "KiB"), 1) if memory is not None else 0,
        autostart=autostart,
    )


def _has_no_power_button(tree: ET.Element) -> bool:
    kind = tree.find("./os/type")
    asks_for_acpi = tree.get("type") in _QEMU and kind is not None and kind.get("arch") in _ACPI
    return asks_for_acpi and tree.find("./features/acpi") is None


def obstacles_of(domain: libvirt.virDomain, guest: Guest) -> tuple[Condition, OtherJob | None]:
    """What stands in the way of a guest, and what somebody else does with it.

    Raises nothing; may wait for somebody who holds the domain's job.
    """
    qemu = guest.driver == "QEMU"
    # Of others only why they are paused tells anything, and to ask a thousand that run took a tenth of a second.
    if guest.state is GuestState.OFF or (guest.state is GuestState.RUNNING and not qemu):
        return Condition.FREE, None
    try:
        return _obstacles(domain, qemu=qemu)
    except libvirt.libvirtError:
        return Condition.FREE, None  # a driver that tells nothing of jobs


def _obstacles(domain: libvirt.virDomain, *, qemu: bool) -> tuple[Condition, OtherJob | None]:
    state, reason = state_of(domain)
    paused = state == libvirt.VIR_DOMAIN_PAUSED
    condition = _PAUSED_FOR.get(reason, Condition.FREE) if paused else Condition.FREE
    if state == libvirt.VIR_DOMAIN_RUNNING and qemu and reason in _RUNNING_POSTCOPY:
        condition = Condition.ARRIVING
    operation = _operation(domain) if qemu else None
    # So does libvirt call every guest that was restored with its pause, too: only a job tells the two apart.
    # Taken for one that arrives it was left alone, and the host took its memory with it.
    if operation is None and paused and reason == libvirt.VIR_DOMAIN_PAUSED_MIGRATION and domain.isActive():
        condition = Condition.ARRIVING
    if condition is Condition.ARRIVING or operation == _INCOMING:
        return Condition.ARRIVING, None
    return condition, _JOBS.get(operation or 0) or (_PAUSED_BY.get(reason) if paused else None)


def _operation(domain: libvirt.virDomain) -> int | None:
    """libvirt's number for what somebody's job does, 0 where none is known of; None: only the source tells of it."""
    # Neither needs QEMU as long as there is no job. One that is under way shows here only in the moments in which it
    # uses the monitor: of a backup, a migration or a dump to a file libvirt 9.0 says that all is well.
    if cast("Any", domain).controlInfo()[0] not in _ANSWERS:
        return 0
    try:
        return cast("Any", domain).jobStats().get("operation", 0)
    except libvirt.libvirtError as error:
        return None if error.get_error_code() in _ONLY_AT_THE_SOURCE else 0
