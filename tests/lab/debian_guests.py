"""Debian guests for a lab, on a network that exists inside the lab only."""

import os
import re
import subprocess
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import libvirt

from lab.agent import AgentDoor
from lab.daemon import Daemon
from lab.debian import Debian, build
from lab.guests import opened, remove
from lab.patience import LONGEST, wait_until
from support import PROGRAM

_NETWORK = """\
<network><name>lab</name><bridge name='lab0' stp='off' delay='0'/>
<ip address='192.168.77.1' netmask='255.255.255.0'><dhcp><range start='192.168.77.10' end='192.168.77.200'/></dhcp></ip>
</network>
"""
_XML = """\
<domain type='qemu'><name>{name}</name><memory unit='MiB'>1024</memory><vcpu>1</vcpu><cpu mode='maximum'/>
<os><type arch='x86_64' machine='q35'>hvm</type><kernel>{kernel}</kernel><initrd>{initrd}</initrd>
<cmdline>root=/dev/vda rw console=ttyS0 quiet systemd.show_status=false mitigations=off {switches}</cmdline></os>
<features><acpi/></features>
<devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{disk}'/>
<target dev='vda' bus='virtio'/></disk>
<serial type='file'><source path='{log}'/></serial>
<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
<interface type='network'><source network='lab'/><model type='virtio'/></interface>
<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel></devices></domain>
"""


class DebianGuest(AgentDoor):
    """A Debian guest. Its disk is its own and survives."""

    def __init__(self, lab: Daemon, name: str, switches: str = "") -> None:
        super().__init__(lab, name)
        self.image: Debian = build()
        self.disk = lab.folder / f"{name}.qcow2"
        self.disk.unlink(missing_ok=True)
        backing = ["-F", "raw", "-b", str(self.image.image)]
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, str(self.disk)], check=True)
        self.xml = _XML.format(
            name=name, kernel=self.image.kernel, initrd=self.image.initrd, disk=self.disk, switches=switches,
            log=lab.folder / f"{name}.log",
        )  # fmt: skip

    def start(self) -> None:
        """Start it, and wait until everything in it runs."""
        with opened(self.lab.qemu) as connection:
            connection.lookupByName(self.name).create()
        self.wait_until_up()

    def destroy(self) -> None:
        """Pull the plug."""
        with opened(self.lab.qemu) as connection:
            connection.lookupByName(self.name).destroy()

    def wait_until_up(self) -> None:
        """Wait until the agent answers and its services have been started."""

        def active() -> bool:
            try:
                self.sh("systemctl is-active --quiet multi-user.target")
            except (RuntimeError, libvirt.libvirtError):
                return False
            return True

        self.wait_until(active, "its services have been started")

    @property
    def address(self) -> str:
        """Its address, by its lease."""

        def lease() -> "re.Match[str] | None":
            return re.search(r"ipv4\s+([0-9.]+)/", self.lab.virsh("domifaddr", self.name))

        found = wait_until(lease, f"{self.name} has a lease", process=self.lab.qemu_of(self.name))
        assert found
        return found[1]


@contextmanager
def debian_guests(lab: Daemon, *names: str) -> Generator[dict[str, DebianGuest]]:
    """Define and start guests, on disks of their own."""
    guests = {name: DebianGuest(lab, name) for name in names}
    try:
        with opened(lab.qemu) as connection:
            _network(connection)
            for guest in guests.values():
                connection.defineXML(guest.xml).create()
        for guest in guests.values():
            guest.wait_until_up()
        yield guests
    finally:
        with opened(lab.qemu) as connection:
            remove(connection, guests)
        for guest in guests.values():
            guest.disk.unlink(missing_ok=True)


def _network(connection: libvirt.virConnect) -> None:
    if "lab" not in connection.listNetworks():
        connection.networkCreateXML(_NETWORK)


def inside(lab: Daemon) -> list[str]:
    """What to put before a command to run it where the guests' network is."""
    return ["nsenter", f"--net=/proc/{lab.pid()}/ns/net", "--"]


def run_inside(
    lab: Daemon, config: Path, *words: str, env: Mapping[str, str] | None = None, given: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run the program where the guests' network is."""
    command = [*inside(lab), str(PROGRAM), "--config", str(config), *words]
    environment = {**os.environ, **(env or {})}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=LONGEST, check=False, env=environment, input=given
    )
