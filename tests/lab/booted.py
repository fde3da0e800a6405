"""Guests that have booted already: one boots once per machine and is saved, and others wake up where it was.

A boot under TCG takes a processor four seconds, most of them for translating the kernel; a wake-up takes half a second.
What wakes up has the clock of its sleep. Whoever is started by lastcall boots.
"""

import hashlib
import shutil
import struct
import subprocess
from functools import cache
from pathlib import Path

from lab.cache import made_once
from lab.daemon import daemon
from lab.image import CMDLINE, SWITCHES, WIDTH, build
from lab.patience import wait_until

_XML = """\
<domain type='qemu'><name>{name}</name><memory unit='MiB'>192</memory><vcpu>1</vcpu>
<sysinfo type='fwcfg'><entry name='{where}'>{switches}</entry></sysinfo>
<os><type arch='x86_64' machine='q35'>hvm</type><kernel>{folder}/vmlinuz</kernel><initrd>{folder}/initramfs</initrd>
<cmdline>{cmdline}</cmdline></os>
<features><acpi/></features><on_crash>destroy</on_crash>
<devices><serial type='file'><source path='{log}'/></serial>{channel}</devices></domain>
"""
_CHANNEL = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
# libvirt's own: magic, version, length of what follows until the state, was running, compression, cookie, reserved.
_HEADER = struct.Struct("=16s5I56x")
_MAGIC, _VERSION = b"LibvirtQemudSave", 2


def linux_xml(name: str, switches: str, *, folder: Path, log: Path, agent: bool = True, cmdline: str = CMDLINE) -> str:
    """A guest of `lab.image`, whose files are in `folder`; without `agent` it has no channel for one."""
    return _XML.format(
        name=name, where=SWITCHES, switches=f"{switches} ".ljust(WIDTH, "."), cmdline=cmdline, folder=folder, log=log,
        channel=_CHANNEL if agent else "",
    )  # fmt: skip


def save_as(target: Path, xml: str, *, agent: bool = True) -> None:
    """Write what libvirt would have saved of this guest (`linux_xml`, as libvirt tells it) after its boot."""
    told = xml.encode() + b"\0"
    with target.open("wb") as written, _state(agent=agent).open("rb") as state:
        written.write(_HEADER.pack(_MAGIC, _VERSION, len(told), True, 0, 0) + told)
        shutil.copyfileobj(state, written, 2**20)


@cache
def _state(*, agent: bool) -> Path:
    """The state of such a guest, made once per machine, image, and versions of QEMU and libvirt."""

    def make(made: Path) -> None:
        _boot_and_save(made, agent=agent)

    versions = [_version("qemu-system-x86_64"), _version("libvirtd"), build()[0].parent.name, agent]
    key = hashlib.sha256(Path(__file__).read_bytes() + repr(versions).encode())
    return made_once(f"booted-{key.hexdigest()[:12]}", make) / "state"


def _version(program: str) -> str:
    return subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout


def _boot_and_save(made: Path, *, agent: bool) -> None:
    with daemon() as lab:
        xml, saved, log = made / "xml", made / "saved", lab.folder / "sleeper.log"
        empty = f"{CMDLINE} init_on_free=1"  # what it has used and freed is half of its memory, and need not be saved
        xml.write_text(linux_xml("sleeper", "wait=1", folder=build()[0].parent, log=log, agent=agent, cmdline=empty))
        lab.virsh("create", str(xml))
        wait_until(
            lambda: "guest waits" in lab.console("sleeper"), "a guest has booted, and waits to be saved",
            process=lab.qemu_of("sleeper"), output=lambda: lab.console("sleeper"),
        )  # fmt: skip
        lab.virsh("save", "sleeper", str(saved))
    with saved.open("rb") as file, (made / "state").open("wb") as state:
        _, _, length, _, _, _ = _HEADER.unpack(file.read(_HEADER.size))
        file.seek(length, 1)
        shutil.copyfileobj(file, state, 2**20)
    saved.unlink()
