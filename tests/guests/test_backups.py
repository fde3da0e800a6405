"""Real guests under a backup: one in pull mode, which goes on until somebody ends it."""

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import libvirt

from lab.daemon import Daemon
from lab.guests import FIRMWARE, LinuxGuest, opened, remove
from support import report_of, run_lastcall, write_config

_DISK = """\
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{}'/>
<target dev='vda' bus='virtio'/></disk>
"""
_BACKUP = """\
<domainbackup mode='pull'><server transport='unix' socket='{folder}/{name}.socket'/>
<disks><disk name='vda' type='file'><scratch file='{folder}/{name}.scratch'/></disk></disks></domainbackup>
"""


def with_disk(lab: Daemon, name: str, xml: str) -> str:
    """A domain's XML with a disk that can be backed up."""
    disk = lab.folder / f"{name}.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "16M"], check=True)
    bare = xml if "<devices>" in xml else xml.replace("</domain>", "<devices></devices></domain>")
    return bare.replace("<devices>", f"<devices>{_DISK.format(disk)}")


@contextmanager
def running(lab: Daemon, name: str, xml: str) -> Generator[libvirt.virDomain]:
    """A guest with a disk, started."""
    try:
        with opened(lab.qemu) as connection:
            domain = connection.defineXML(with_disk(lab, name, xml))
            domain.create()
            yield domain
    finally:
        with opened(lab.qemu) as connection:
            remove(connection, [name])


def back_up(lab: Daemon, domain: Any) -> None:
    """Begin a backup; libvirt-python says that it takes a checkpoint in any case."""
    domain.backupBegin(_BACKUP.format(folder=lab.folder, name=domain.name()), None)


def test_a_guest_is_asked_beside_a_backup_that_does_not_end_and_not_saved(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu, more="defaults: {stop: [save, acpi], timeout: 2s}")
    # libvirt 9.0 would hear of the agent's channel first, and say for half a minute of nobody that it is off.
    guest = LinuxGuest(lab, "fetched", "slow=1", agent=False)
    with running(lab, guest.name, guest.xml) as domain:
        guest.wait_until_up()
        back_up(lab, domain)
        done = run_lastcall(config, "shutdown", "--json")
        report = report_of(done)
        (result,) = report["guests"]
        assert (result["outcome"], result["method"], done.returncode) == ("stopped", "acpi", 0), done.stderr
        assert [attempt["method"] for attempt in result["attempts"]] == ["acpi"], "no save was tried"
        assert result["asked"] >= 2, "it had its own time for the backup"
        assert "for a backup, which goes on" in report["problems"][0]["message"]
        assert guest.went_down_cleanly


def test_a_backup_that_does_not_end_is_aborted_where_that_is_wanted_and_the_guest_saved(
    lab: Daemon, tmp_path: Path
) -> None:
    config = write_config(tmp_path, lab.qemu, more="defaults: {stop: [save], timeout: 2s, jobs: abort}")
    with running(lab, "forgotten", FIRMWARE.format(name="forgotten")) as domain:
        back_up(lab, domain)
        done = run_lastcall(config, "shutdown", "--json")
        report = report_of(done)
        (result,) = report["guests"]
        assert (result["outcome"], result["method"], done.returncode) == ("saved", "save", 0), done.stderr
        assert "for a backup, and ended it" in report["problems"][0]["message"]
        assert domain.hasManagedSaveImage()


def test_a_guest_whose_backup_is_over_in_time_goes_at_once(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu, more="defaults: {stop: [save], timeout: 5min}")
    (tmp_path / "hooks.d" / "10-ends.py").write_text(
        "import lastcall, subprocess\n"
        "@lastcall.hookimpl\n"
        "def on_guest_stopped(guest, run):\n"
        f"    subprocess.run(['virsh', '-c', {lab.qemu!r}, 'domjobabort', 'fetched'], check=True)\n"
    )
    with (
        running(lab, "fetched", FIRMWARE.format(name="fetched")) as domain,
        running(lab, "other", FIRMWARE.format(name="other")),
    ):
        back_up(lab, domain)
        report = report_of(run_lastcall(config, "shutdown", "--json"))
        assert {guest["outcome"] for guest in report["guests"]} == {"saved"}, report
        assert report["run"]["duration"] < 5 * 60
