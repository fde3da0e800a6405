"""What a domain's XML says against saving it, and of its metadata."""

from typing import Any
from xml.etree import ElementTree as ET

import libvirt
import pytest

from lastcall import Guest, GuestState
from lastcall.api.guests import Reason
from lastcall.config.compose import Vocabulary
from lastcall.config.load import parse
from lastcall.config.metadata import parse_element as parse_metadata
from lastcall.config.metadata import read_metadata, render
from lastcall.hypervisor.domain_facts import facts_of, obstacles_of
from lastcall.hypervisor.ports import Condition, OtherJob
from lastcall.hypervisor.stopping.save_blockers import may_be_unsaveable, unsaveable


@pytest.mark.parametrize(
    ("device", "why"),
    [
        ("<hostdev mode='subsystem' type='pci'/>", "it has a PCI host device"),
        ("<hostdev mode='subsystem' type='mdev'/>", "it has a mediated host device"),
        ("<hostdev mode='subsystem' type='usb'/>", ""),
        ("<interface type='hostdev'/>", "it has a PCI host device as network card"),
        ("<interface type='network'/>", ""),
        ("<filesystem type='mount'><driver type='virtiofs'/></filesystem>", "it has a virtiofs file system"),
        ("<filesystem type='mount'><driver type='path'/></filesystem>", ""),
        ("<interface type='vdpa'/>", "it has a vDPA network card"),
        ("<shmem name='x'/>", "it has a shared memory device"),
        ("<shmem name='x' role='peer'/>", "it has a shared memory device"),
        ("<shmem name='x' role='master'/>", ""),
        ("<shmem name='x' role='master'/><shmem name='y'/>", "it has a shared memory device"),
        ("<disk><driver type='qcow2'/></disk>", ""),
        ("<disk><driver type='vmdk'/></disk>", "it has a disk in the format vmdk"),
        ("<disk><backingStore><format type='vdi'/></backingStore></disk>", "it has a disk in the format vdi"),
        ("<disk><transient/></disk>", "it has a transient disk"),
        ("<disk><target dev='nvme0n1' bus='nvme'/></disk>", "it has an emulated NVMe controller"),
        ("<video><model type='virtio'><acceleration accel3d='yes'/></model></video>",
         "it has a graphics card with 3D acceleration"),
        ("<video><model type='virtio'><acceleration accel3d='no'/></model></video>", ""),
    ],
)  # fmt: skip
def test_some_devices_cannot_be_saved(device: str, why: str) -> None:
    text = f"<domain><devices>{device}</devices></domain>"
    assert unsaveable(ET.fromstring(text)) == why  # noqa: S314
    assert may_be_unsaveable(text) >= bool(why), "it is searched where there is something to be found"


@pytest.mark.parametrize(
    ("argument", "why"),
    [
        ("ivshmem-plain,memdev=m", "it has a shared memory device"),
        ("ivshmem-plain,memdev=m,master=on", ""),
        ('{"driver": "ivshmem-plain", "memdev": "m", "master": true}', ""),
        ('{"driver": "ivshmem-doorbell"}', "it has a shared memory device"),
        ("nvme,serial=x", "it has an emulated NVMe controller"),
        ("vfio-pci,host=01:00.0", "it has a PCI host device"),
        ("{", ""),
        ("e1000e", ""),
    ],
)
def test_a_device_that_qemu_is_given_past_libvirt_counts_as_well(argument: str, why: str) -> None:
    tree = ET.Element("domain")
    line = ET.SubElement(tree, "{http://libvirt.org/schemas/domain/qemu/1.0}commandline")
    ET.SubElement(line, "{http://libvirt.org/schemas/domain/qemu/1.0}arg", value=argument)
    assert unsaveable(tree) == why
    assert may_be_unsaveable(ET.tostring(tree, encoding="unicode")) >= bool(why)


def test_an_invariant_clock_can_be_saved_only_where_its_frequency_is_given() -> None:
    cpu = "<cpu><feature policy='require' name='invtsc'/></cpu>"
    assert unsaveable(ET.fromstring(f"<domain>{cpu}</domain>")) == "it has an invariant TSC without a frequency"  # noqa: S314
    timer = "<clock><timer name='tsc' frequency='2000000000'/></clock>"
    assert unsaveable(ET.fromstring(f"<domain>{cpu}{timer}</domain>")) == ""  # noqa: S314


@pytest.mark.parametrize(
    ("kind", "features", "deaf"),
    [
        ("kvm x86_64", "<features><acpi/></features>", False),
        ("kvm x86_64", "<features><apic/></features>", True),
        ("qemu aarch64", "", True),
        ("kvm s390x", "", False),
        ("lxc x86_64", "", False),
        ("test i686", "", False),
    ],
)
def test_a_guest_without_acpi_has_no_power_button_where_that_is_one(kind: str, features: str, *, deaf: bool) -> None:
    driver, arch = kind.split()
    domain: Any = Described(f"<domain type='{driver}'><os><type arch='{arch}'>hvm</type></os>{features}</domain>")
    assert facts_of(domain, autostart=False).deaf_to_acpi == deaf


class Described:
    """A domain that has an XML and nothing else."""

    def __init__(self, xml: str) -> None:
        self._xml = xml

    def XMLDesc(self, _flags: int) -> str:  # noqa: N802  libvirt's name
        return self._xml


class Domain:
    """What libvirt tells of a domain; `job` is what it says of the job, or the code of its error."""

    def __init__(self, reason: int, job: dict[str, int] | int, control: int = 0, *, state: int = 3) -> None:
        self._state, self._job, self._control = (state, reason), job, control

    def state(self) -> tuple[int, int]:
        return self._state

    def isActive(self) -> bool:  # noqa: N802  libvirt's name
        return self._state[0] != libvirt.VIR_DOMAIN_SHUTOFF

    def controlInfo(self) -> list[int]:  # noqa: N802  libvirt's name
        return [self._control, 0, 0]

    def jobStats(self) -> dict[str, int]:  # noqa: N802  libvirt's name
        if isinstance(self._job, int):
            error = libvirt.libvirtError("said by a test")
            error.err = (self._job, 10, "said by a test", 2, "", "", "", 0, 0)
            raise error
        return self._job


OUT, INTO = libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT, libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN
SAVE, DUMP = libvirt.VIR_DOMAIN_JOB_OPERATION_SAVE, libvirt.VIR_DOMAIN_JOB_OPERATION_DUMP
SNAPSHOT, BACKUP = libvirt.VIR_DOMAIN_JOB_OPERATION_SNAPSHOT, libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP
MIGRATING, BUSY = libvirt.VIR_DOMAIN_PAUSED_MIGRATION, libvirt.VIR_DOMAIN_CONTROL_JOB
OCCUPIED, BROKEN = libvirt.VIR_DOMAIN_CONTROL_OCCUPIED, libvirt.VIR_DOMAIN_CONTROL_ERROR
RUNNING = libvirt.VIR_DOMAIN_RUNNING
PAUSED = Guest(uri="u", uuid="i", name="g", driver="QEMU", state=GuestState.PAUSED)


def job(operation: int) -> dict[str, int]:
    return {"type": 2, "operation": operation}


@pytest.mark.parametrize(
    ("domain", "condition"),
    [
        (Domain(MIGRATING, {"type": 0}), Condition.FREE),
        (Domain(MIGRATING, libvirt.VIR_ERR_OPERATION_UNSUPPORTED), Condition.ARRIVING),
        (Domain(MIGRATING, libvirt.VIR_ERR_OPERATION_INVALID), Condition.ARRIVING),
        (Domain(MIGRATING, libvirt.VIR_ERR_OPERATION_UNSUPPORTED, BUSY), Condition.ARRIVING),
        (Domain(MIGRATING, job(INTO)), Condition.ARRIVING),
        (Domain(MIGRATING, job(OUT)), Condition.FREE),
        (Domain(MIGRATING, libvirt.VIR_ERR_OPERATION_TIMEOUT), Condition.FREE),
        (Domain(MIGRATING, libvirt.VIR_ERR_OPERATION_INVALID, state=5), Condition.FREE),
        (Domain(libvirt.VIR_DOMAIN_PAUSED_USER, {"type": 0}), Condition.FREE),
        (Domain(libvirt.VIR_DOMAIN_PAUSED_USER, libvirt.VIR_ERR_OPERATION_INVALID), Condition.FREE),
        (Domain(libvirt.VIR_DOMAIN_PAUSED_POSTCOPY, {"type": 0}), Condition.ARRIVING),
        (Domain(libvirt.VIR_DOMAIN_PAUSED_POSTCOPY, libvirt.VIR_ERR_OPERATION_TIMEOUT), Condition.ARRIVING),
        (Domain(libvirt.VIR_DOMAIN_RUNNING_POSTCOPY, {"type": 0}, state=RUNNING), Condition.ARRIVING),
        (Domain(libvirt.VIR_DOMAIN_PAUSED_IOERROR, {"type": 0}), Condition.IO_ERROR),
        (Domain(libvirt.VIR_DOMAIN_PAUSED_IOERROR, job(BACKUP)), Condition.IO_ERROR),
    ],
)
def test_a_guest_that_libvirt_calls_paused_migrating_arrives_only_where_a_job_says_so(
    domain: Any, condition: Condition
) -> None:
    assert obstacles_of(domain, PAUSED)[0] is condition


@pytest.mark.parametrize(
    ("domain", "found"),
    [
        # As libvirt 9.0 tells of a backup, a migration and a dump to a file: nothing is the matter, and which job.
        (Domain(1, job(BACKUP), state=RUNNING), OtherJob.BACKUP),
        (Domain(1, job(OUT), state=RUNNING), OtherJob.MIGRATION),
        (Domain(1, job(DUMP), state=RUNNING), OtherJob.DUMP),
        (Domain(1, job(BACKUP), BUSY, state=RUNNING), OtherJob.BACKUP),
        (Domain(MIGRATING, job(OUT)), OtherJob.MIGRATION),
        (Domain(0, job(DUMP)), OtherJob.DUMP),
        (Domain(libvirt.VIR_DOMAIN_PAUSED_SNAPSHOT, job(SNAPSHOT)), OtherJob.SNAPSHOT),
        (Domain(libvirt.VIR_DOMAIN_PAUSED_SAVE, job(SAVE)), OtherJob.SAVE),
        (Domain(libvirt.VIR_DOMAIN_PAUSED_SAVE, job(SAVE), OCCUPIED), OtherJob.SAVE),
        (Domain(libvirt.VIR_DOMAIN_PAUSED_DUMP, libvirt.VIR_ERR_OPERATION_TIMEOUT), OtherJob.DUMP),
        (Domain(libvirt.VIR_DOMAIN_PAUSED_STARTING_UP, {"type": 0}), OtherJob.START),
        (Domain(1, {"type": 0}, state=RUNNING), None),
        (Domain(1, job(99), state=RUNNING), None),
        (Domain(1, libvirt.VIR_ERR_OPERATION_TIMEOUT, state=RUNNING), None),
        (Domain(1, libvirt.VIR_ERR_NO_SUPPORT, state=RUNNING), None),
        (Domain(1, libvirt.VIR_ERR_OPERATION_INVALID, state=RUNNING), None),
        (Domain(libvirt.VIR_DOMAIN_RUNNING_MIGRATED, libvirt.VIR_ERR_OPERATION_INVALID, state=RUNNING), None),
    ],
)
def test_what_somebody_else_does_with_a_guest_is_told_by_its_job_or_by_its_pause(
    domain: Any, found: OtherJob | None
) -> None:
    assert obstacles_of(domain, PAUSED) == (Condition.FREE, found)


@pytest.mark.parametrize("control", [OCCUPIED, BROKEN])
def test_a_monitor_that_is_merely_occupied_or_broken_is_not_asked_for_a_job(control: int) -> None:
    domain: Any = Domain(1, job(OUT), control, state=RUNNING)
    assert obstacles_of(domain, PAUSED) == (Condition.FREE, None)


def test_a_container_has_no_job_and_is_not_asked_for_one() -> None:
    domain: Any = Domain(1, job(OUT), state=RUNNING)
    assert obstacles_of(domain, Guest(uri="u", uuid="i", name="g", driver="LXC")) == (Condition.FREE, None)


def test_metadata_goes_through_xml_unharmed() -> None:
    texts = {"depends_on": "[a, b<c>]", "timeout": "5min"}
    assert parse_metadata(render(texts)) == texts
    assert parse_metadata(None) == {}


def test_metadata_may_set_every_core_key_that_runs_nothing() -> None:
    model = type(parse("{}").settings(Vocabulary()).defaults)
    guest = Guest(uri="u", uuid="i", name="g")
    given = {
        "depends_on": "[a]", "order": "3", "timeout": "7s", "manage": "false", "paused": "leave", "transient": "leave",
        "restore": "always", "ready_timeout": "1min", "start_delay": "2min", "stop": "[]", "last_resort": "leave",
        "jobs": "abort", "shed": "5min",
    }  # fmt: skip
    policy, problems = read_metadata(model, guest, given)
    assert problems == []
    assert policy is not None
    assert (policy.order, policy.timeout, policy.manage, policy.restore) == (3, 7, False, "always")


def test_what_differs_for_a_reason_is_only_what_is_given() -> None:
    text = "shutdown: {deadline: 8min, parallel: 3, by_reason: {power: {deadline: 90s}, reboot: {parallel: 0}}}"
    settings = parse(text).settings(Vocabulary())
    power, reboot = settings.for_reason(Reason.POWER).shutdown, settings.for_reason(Reason.REBOOT).shutdown
    assert (power.deadline, power.parallel) == (90, 3)
    assert (reboot.deadline, reboot.parallel) == (480, 0)
    assert settings.for_reason(Reason.MANUAL).shutdown.deadline == 480
