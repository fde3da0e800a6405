"""Debian guests for a lab, on a network that exists inside the lab only: one has booted, all go on from there.

A boot of Debian takes a processor half a minute.
"""

import hashlib
import os
import re
import subprocess
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import libvirt

from lab import debian
from lab.agent import AgentDoor
from lab.booted import versions
from lab.cache import made_once
from lab.daemon import Daemon, daemon
from lab.guests import opened, remove
from lab.patience import LONGEST, wait_until
from lab.saved import keep_state, wake_up
from support import PROGRAM

_NETWORK = """\
<network><name>lab</name><bridge name='lab0' stp='off' delay='0'/>
<ip address='192.168.77.1' netmask='255.255.255.0'><dhcp><range start='192.168.77.10' end='192.168.77.200'/></dhcp></ip>
</network>
"""
_XML = """\
<domain type='qemu'><name>{name}</name><memory unit='MiB'>1024</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type><kernel>{folder}/vmlinux</kernel><initrd>{folder}/initramfs</initrd>
<cmdline>{cmdline}</cmdline></os>
<features><acpi/></features>
<devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{disk}'/>
<target dev='vda' bus='virtio'/></disk>
<serial type='file'><source path='{log}'/></serial>
<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
<interface type='network'><mac address='52:54:00:6c:61:62'/><source network='lab'/><model type='virtio'/></interface>
<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel></devices></domain>
"""


def debian_xml(name: str, *, disk: Path, log: Path, cmdline: str = debian.CMDLINE) -> str:
    """A guest of `lab.debian`."""
    return _XML.format(name=name, folder=debian.build().folder, disk=disk, log=log, cmdline=cmdline)


@cache
def booted() -> Path:
    """The folder with the `state` of a guest in which everything runs, and its `disk`."""
    text = Path(__file__).read_bytes() + repr([versions(), debian.build().folder.name]).encode()
    return made_once(f"debian-booted-{hashlib.sha256(text).hexdigest()[:12]}", _boot_and_save)


def _boot_and_save(made: Path) -> None:
    with daemon() as lab, opened(lab.qemu) as connection:
        _network(connection)
        guest = DebianGuest(lab, "sleeper")
        new_disk(made / "disk", debian.build().image, "raw")
        empty = f"{debian.CMDLINE} init_on_free=1"  # memory that was used and freed need not be saved
        connection.createXML(debian_xml(guest.name, disk=made / "disk", log=lab.folder / "sleeper.log", cmdline=empty))
        guest.wait_until_up()
        guest.sh("sync; echo 3 > /proc/sys/vm/drop_caches")
        keep_state(lab, guest.name, made / "state")
    # By where it is from here, unseen: the folder has yet to get its name, and whoever copies all of them elsewhere has
    # guests that wake up there, and go on when this place is gone.
    below = Path("..") / debian.build().folder.name / debian.build().image.name
    subprocess.run(["qemu-img", "rebase", "-u", "-F", "raw", "-b", str(below), str(made / "disk")], check=True)


def new_disk(path: Path, below: Path, kind: str = "qcow2") -> None:
    """Make a disk that is this one (`kind`: its format) until something is written to it."""
    path.unlink(missing_ok=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", kind, "-b", str(below), str(path)], check=True)


class DebianGuest(AgentDoor):
    """A Debian guest. Its disk is its own and survives."""

    def __init__(self, lab: Daemon, name: str) -> None:
        super().__init__(lab, name)
        self.disk, self.log = lab.folder / f"{name}.qcow2", lab.folder / f"{name}.log"

    def wake_up(self, connection: libvirt.virConnect) -> None:
        """Define it and have it run at once, with everything started."""
        new_disk(self.disk, booted() / "disk")
        xml = debian_xml(self.name, disk=self.disk, log=self.log)
        wake_up(connection, xml, booted() / "state", self.lab.folder / f"{self.name}.saved")
        self.wait()
        self.sh("networkctl reconfigure $(ls /sys/class/net | grep ^en)")  # nobody here knows of its lease
        wait_until(self._lease, f"{self.name} has a lease", process=self.lab.qemu_of(self.name))

    def boot(self, init: str) -> str:
        """Boot it from its disk with this as its first process, until that one powers it off; returns what it said."""
        again = DebianGuest(self.lab, f"{self.name}-again")
        cmdline = f"{debian.CMDLINE} init={init}"
        with opened(self.lab.qemu) as connection:
            connection.createXML(debian_xml(again.name, disk=self.disk, log=again.log, cmdline=cmdline))
            again.wait_until(lambda: "Power down" in again.console(), "it is done, and powers off")
            wait_until(lambda: again.name not in self.lab.virsh("list", "--name"), f"{again.name} is off")
        return again.console()

    def wait_until_up(self) -> None:
        """Wait until its services have been started and the agent answers."""
        self.wait_until(lambda: "guest is up" in self.console(), "its services have been started")
        self.wait()

    @property
    def address(self) -> str:
        """Its address, by its lease."""
        found = self._lease()
        assert found
        return found[1]

    def _lease(self) -> "re.Match[str] | None":
        return re.search(r"ipv4\s+([0-9.]+)/", self.lab.virsh("domifaddr", self.name))


@contextmanager
def debian_guest(lab: Daemon, name: str) -> Generator[DebianGuest]:
    """Have a guest in which everything runs, on a disk of its own; one at a time, as all have the same address."""
    guest = DebianGuest(lab, name)
    try:
        with opened(lab.qemu) as connection:
            _network(connection)
            guest.wake_up(connection)
        yield guest
    finally:
        with opened(lab.qemu) as connection:
            remove(connection, [name])
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
