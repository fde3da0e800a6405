"""Tiny guests that have booted already: one boots once per machine and is saved, and others wake up where it was.

A boot under TCG takes a processor four seconds, most of them for translating the kernel; a wake-up takes half a second.
What wakes up has the clock of its sleep. Whoever is started by lastcall boots.
"""

import hashlib
import subprocess
from functools import cache
from pathlib import Path

from lab.cache import made_once
from lab.daemon import daemon
from lab.image import CMDLINE, SWITCHES, WIDTH, build
from lab.patience import wait_until
from lab.saved import keep_state

_XML = """\
<domain type='qemu'><name>{name}</name><memory unit='MiB'>192</memory><vcpu>1</vcpu>
<sysinfo type='fwcfg'><entry name='{where}'>{switches}</entry></sysinfo>
<os><type arch='x86_64' machine='q35'>hvm</type><kernel>{folder}/vmlinux</kernel><initrd>{folder}/initramfs</initrd>
<cmdline>{cmdline}</cmdline></os>
<features><acpi/></features><on_crash>destroy</on_crash>
<devices><serial type='file'><source path='{log}'/></serial>{channel}</devices></domain>
"""
_CHANNEL = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"


def linux_xml(name: str, switches: str, *, folder: Path, log: Path, agent: bool = True, cmdline: str = CMDLINE) -> str:
    """A guest of `lab.image`, whose files are in `folder`; without `agent` it has no channel for one."""
    return _XML.format(
        name=name, where=SWITCHES, switches=f"{switches} ".ljust(WIDTH, "."), cmdline=cmdline, folder=folder, log=log,
        channel=_CHANNEL if agent else "",
    )  # fmt: skip


@cache
def booted(*, agent: bool = True) -> Path:
    """The state of such a guest before it looks for its switches, made once per machine and image."""

    def make(made: Path) -> None:
        _boot_and_save(made, agent=agent)

    text = Path(__file__).read_bytes() + repr([versions(), build()[0].parent.name, agent]).encode()
    return made_once(f"booted-{hashlib.sha256(text).hexdigest()[:12]}", make) / "state"


@cache
def versions() -> list[str]:
    """The versions of libvirt and QEMU, which understand what they have saved themselves."""
    programs = ("libvirtd", "qemu-system-x86_64")
    return [subprocess.run([one, "--version"], check=True, capture_output=True, text=True).stdout for one in programs]


def _boot_and_save(made: Path, *, agent: bool) -> None:
    with daemon() as lab:
        xml, log = lab.folder / "sleeper.xml", lab.folder / "sleeper.log"
        empty = f"{CMDLINE} init_on_free=1"  # what it has used and freed is half of its memory, and need not be saved
        xml.write_text(linux_xml("sleeper", "wait=1", folder=build()[0].parent, log=log, agent=agent, cmdline=empty))
        lab.virsh("create", str(xml))
        wait_until(
            lambda: "guest waits" in lab.console("sleeper"), "a guest has booted, and waits to be saved",
            process=lab.qemu_of("sleeper"), output=lambda: lab.console("sleeper"),
        )  # fmt: skip
        keep_state(lab, "sleeper", made / "state")
