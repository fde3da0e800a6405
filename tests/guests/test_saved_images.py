"""Saved images that do not load, as real QEMUs and a real libvirt refuse them, and what a restore makes of that."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import libvirt
import pytest

from lab.daemon import Daemon
from lab.guests import FIRMWARE, firmware_guests, opened, remove, states
from support import report_of, run_lastcall, write_config

_NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"
_HEAD = 92  # bytes of libvirt's own before the guest's XML, whose length stands in four of them
_QUICK = "restore: {attempts: 2, retry: 0.1s"


def image_of(lab: Daemon, name: str) -> Path:
    """Where libvirt keeps a saved guest, as seen from here."""
    return lab.folder / "var-lib-libvirt" / "qemu" / "save" / f"{name}.save"


def parts(image: Path) -> tuple[bytes, bytes, bytes]:
    """libvirt's head, the guest's XML, and the state of its QEMU."""
    content = image.read_bytes()
    end = _HEAD + int.from_bytes(content[20:24], "little")
    return content[:_HEAD], content[_HEAD:end], content[end:]


def cut_in_half(image: Path) -> None:
    os.truncate(image, image.stat().st_size // 2)


def cut_within_its_xml(image: Path) -> None:
    os.truncate(image, 200)


def overwritten(image: Path) -> None:
    image.write_bytes(b"\0" * image.stat().st_size)


def of_a_newer_libvirt(image: Path) -> None:
    content = image.read_bytes()
    image.write_bytes(content[:16] + b"\x63" + content[17:])


def without_a_state(image: Path) -> None:
    head, xml, state = parts(image)
    image.write_bytes(head + xml + b"\0" * len(state))


def of_another_guest(image: Path) -> None:
    content, at = image.read_bytes(), image.read_bytes().index(b"<uuid>") + len("<uuid>")
    image.write_bytes(content[:at] + b"11111111-2222-3333-4444-555555555555" + content[at + 36 :])


def of_another_machine(image: Path) -> None:
    head, xml, state = parts(image)
    image.write_bytes(head + xml + state.replace(b"pc-q35", b"pc-abc"))


def of_a_machine_that_is_no_more(image: Path) -> None:
    head, xml, state = parts(image)
    image.write_bytes(head + xml.replace(b"pc-q35-", b"pc-q99-") + state)


def of_other_memory(image: Path) -> None:
    head, xml, state = parts(image)
    image.write_bytes(head + xml.replace(b">32768<", b">65536<") + state)


def saved(lab: Daemon, config: Path) -> None:
    assert report_of(run_lastcall(config, "shutdown", "--json"))["guests"][0]["outcome"] == "saved"


BROKEN = (
    cut_in_half, cut_within_its_xml, overwritten, of_a_newer_libvirt, without_a_state, of_another_guest,
    of_another_machine, of_a_machine_that_is_no_more, of_other_memory,
)  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_a_guest_whose_image_does_not_load_is_parked_and_comes_back_without_it_by_name(
    lab: Daemon, tmp_path: Path, broken: Callable[[Path], None]
) -> None:
    config = write_config(tmp_path, lab.qemu, more=f"defaults: {{stop: [save]}}\n{_QUICK}}}")
    with firmware_guests(lab, "cold") as connection:
        saved(lab, config)
        broken(image_of(lab, "cold"))
        done = run_lastcall(config, "restore", "--json")
        (guest,) = report_of(done)["guests"]
        assert (guest["outcome"], done.returncode) == ("failed", 1)
        assert "its saved image does not load" in guest["message"]
        assert "`lastcall restore cold --fresh` starts it without the image" in guest["message"]
        assert image_of(lab, "cold").exists()
        assert "started without it by `lastcall restore cold --fresh`" in run_lastcall(config, "status").stdout
        done = run_lastcall(config, "restore", "cold", "--fresh", "--json")
        assert [one["message"] or one["outcome"] for one in report_of(done)["guests"]] == ["started"]
        assert (done.returncode, states(connection)) == (0, {"cold": "running"})
        assert not image_of(lab, "cold").exists()


def test_fresh_drops_an_image_that_does_not_load_and_no_other(lab: Daemon, tmp_path: Path) -> None:
    more = f"defaults: {{stop: [save]}}\n{_QUICK}, bad_image: fresh}}"
    config = write_config(tmp_path, lab.qemu, more=more)
    with firmware_guests(lab, "cold", "warm") as connection:
        run_lastcall(config, "shutdown")
        cut_in_half(image_of(lab, "cold"))
        done = run_lastcall(config, "restore", "--json")
        report = report_of(done)
        assert {one["name"]: one["outcome"] for one in report["guests"]} == {"cold": "started", "warm": "resumed"}
        (problem,) = report["problems"]
        assert (problem["what"], problem["where"], done.returncode) == ("image", "cold", 1)
        assert states(connection) == {"cold": "running", "warm": "running"}


def test_a_disk_that_is_missing_speaks_against_no_image(lab: Daemon, tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(b"\0" * 2**20)
    xml = (
        f"<devices><disk type='file'><source file='{disk}'/><target dev='vda' bus='virtio'/></disk></devices></domain>"
    )
    config = write_config(tmp_path, lab.qemu, more=f"defaults: {{stop: [save]}}\n{_QUICK}, bad_image: fresh}}")
    with opened(lab.qemu) as connection:
        try:
            connection.defineXML(FIRMWARE.format(name="warm").replace("</domain>", xml)).create()
            saved(lab, config)
            disk.rename(tmp_path / "away.img")
            (guest,) = report_of(run_lastcall(config, "restore", "--json", "--deadline", "20s"))["guests"]
            assert "No such file" in guest["message"]
            assert image_of(lab, "warm").exists()
            (tmp_path / "away.img").rename(disk)
            (guest,) = report_of(run_lastcall(config, "restore", "warm", "--json"))["guests"]
            assert guest["outcome"] == "resumed"
        finally:
            remove(connection, ["warm"])


def test_a_guest_that_libvirt_boots_as_its_image_was_never_written_whole_is_a_problem(
    lab: Daemon, tmp_path: Path
) -> None:
    config = write_config(tmp_path, lab.qemu, more="defaults: {stop: [save]}")
    with firmware_guests(lab, "cold"):
        saved(lab, config)
        os.truncate(image_of(lab, "cold"), 50)
        done = run_lastcall(config, "restore", "--json")
        report = report_of(done)
        assert report["guests"][0]["outcome"] == "started"
        assert [one["message"] for one in report["problems"]] == [
            "was started without its saved image, and what was in its memory is lost"
        ]


def test_fresh_wants_names_and_takes_none_but_those(lab: Daemon, tmp_path: Path) -> None:
    done = run_lastcall(write_config(tmp_path, lab.qemu), "restore", "--fresh")
    assert done.returncode == 2
    assert "--fresh takes the names of guests" in done.stderr


_MEMFD = "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking><vcpu>"
_NVME = (
    "<qemu:commandline><qemu:arg value='-device'/><qemu:arg value='nvme,serial=x,bus=pcie.0,addr=0x10'/>"
    "</qemu:commandline></domain>"
)
DEVICES = {
    "shared memory": ("</features>", "</features><devices><shmem name='a'><size unit='M'>4</size>{}</shmem></devices>"),
    "its master": (
        "</features>",
        "</features><devices><shmem name='b' role='master'>{}<size unit='M'>4</size></shmem></devices>",
    ),
    "shared memory backing": ("<vcpu>", _MEMFD),
    "NVMe past libvirt": ("</domain>", _NVME),
    **{f"{kind} disk": ("disk", kind) for kind in ("qcow", "qcow2", "qed", "raw", "transient", "vdi", "vmdk", "vpc")},
}


def with_device(folder: Path, old: str, new: str) -> str:
    """The XML of a guest with a device, or with a disk of this format."""
    xml = FIRMWARE.format(name="odd").replace("type='qemu'", f"type='qemu' xmlns:qemu='{_NAMESPACE}'", 1)
    if old != "disk":
        return xml.replace(old, new.format("<model type='ivshmem-plain'/>"))
    kind, more = ("raw", "<transient/>") if new == "transient" else (new, "")
    disk = folder / f"{new}.img"
    subprocess.run(["qemu-img", "create", "-q", "-f", kind, str(disk), "8M"], check=True)
    source = f"<driver name='qemu' type='{kind}'/><source file='{disk}'/><target dev='vda' bus='virtio'/>{more}"
    return xml.replace("</features>", f"</features><devices><disk type='file'>{source}</disk></devices>")


@pytest.mark.parametrize("device", DEVICES)
def test_what_libvirt_refuses_to_save_is_known_beforehand_and_nothing_else_is_called_so(
    lab: Daemon, tmp_path: Path, device: str
) -> None:
    config = write_config(tmp_path, lab.qemu, more="defaults: {stop: [save]}")
    with opened(lab.qemu) as connection:
        try:
            domain = connection.defineXML(with_device(tmp_path, *DEVICES[device]))
            domain.create()
            plan = run_lastcall(config, "plan").stdout
            try:
                domain.managedSave(0)
            except libvirt.libvirtError:
                refused = True
            else:
                refused = False
            assert ("it has a" in plan) == refused, plan
        finally:
            remove(connection, ["odd"])


def test_a_guest_without_acpi_is_warned_of(lab: Daemon, tmp_path: Path) -> None:
    config = write_config(tmp_path, lab.qemu)
    with opened(lab.qemu) as connection:
        try:
            xml = FIRMWARE.format(name="deaf").replace("<features><acpi/></features>", "")
            connection.defineXML(xml).create()
            assert "! acpi deaf: its XML has no <acpi/> in <features>" in run_lastcall(config, "check").stdout
        finally:
            remove(connection, ["deaf"])
