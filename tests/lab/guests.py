"""Guests for a lab: tiny Linux guests with manners, firmware-only guests that hear nothing, and test-driver guests."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import libvirt

from lab.booted import booted, linux_xml
from lab.daemon import Daemon
from lab.image import build
from lab.patience import wait_until
from lab.saved import wake_up

FIRMWARE = """\
<domain type='qemu'><name>{name}</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features></domain>
"""
_HEAVY = """
<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>{name}</name>
<memory unit='MiB'>{memory}</memory><os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
<qemu:commandline><qemu:arg value='-device'/><qemu:arg value='loader,file={file},addr=0x200000,force-raw=on'/>
</qemu:commandline></domain>"""
_WEIGHT = 100
"""MiB, and at the lowest speed there is, seconds on the way."""
_TEST = "<domain type='test'><name>{}</name><memory unit='MiB'>1</memory><os><type>hvm</type></os></domain>"


class LinuxGuest:
    """A tiny Linux guest; without `agent` it has no channel for one."""

    def __init__(self, lab: Daemon, name: str, switches: str, *, agent: bool = True) -> None:
        self.lab, self.name, self._agent = lab, name, agent
        self.log = lab.folder / f"{name}.log"
        self.xml = linux_xml(name, switches, folder=build()[0].parent, log=self.log, agent=agent)

    def wake_up(self, connection: libvirt.virConnect) -> None:
        """Define it and have it run at once, as somebody who has booted already."""
        wake_up(connection, self.xml, booted(agent=self._agent), self.lab.folder / f"{self.name}.saved")

    def wait_until_up(self) -> None:
        """Wait until it says on its console that it is up."""
        process = self.lab.qemu_of(self.name)
        wait_until(lambda: "guest is up" in self.console(), f"{self.name} is up", process=process, output=self.console)

    def console(self) -> str:
        """What it said on its console since it was started."""
        return self.lab.console(self.name)

    @property
    def went_down_cleanly(self) -> bool:
        """True when its own shutdown ran to the end."""
        return "guest is going down" in self.console() and "Power down" in self.console()


@contextmanager
def linux_guests(lab: Daemon, **switches: str) -> Generator[dict[str, LinuxGuest]]:
    """Have guests that are up; the switches are those of `lab.image`."""
    guests = {name: LinuxGuest(lab, name, words) for name, words in switches.items()}
    try:
        with opened(lab.qemu) as connection:
            for guest in guests.values():
                guest.wake_up(connection)
        for guest in guests.values():
            guest.wait_until_up()
        yield guests
    finally:
        with opened(lab.qemu) as connection:  # a new one: the test may have killed the daemon
            remove(connection, guests)


@contextmanager
def firmware_guests(lab: Daemon, *names: str) -> Generator[libvirt.virConnect]:
    """Start guests that have a firmware only: up in a second, deaf to everything but a save or the plug."""
    try:
        with opened(lab.qemu) as connection:
            for name in names:
                connection.defineXML(FIRMWARE.format(name=name)).create()
            yield connection
    finally:
        with opened(lab.qemu) as connection:  # a new one: the test may have killed the daemon
            remove(connection, names)


def heavy(connection: libvirt.virConnect, name: str, folder: Path) -> libvirt.virDomain:
    """A guest with something in its memory: pages full of zeros travel at any speed."""
    file = folder / "weight"
    file.write_bytes(b"lastcall" * (_WEIGHT << 17))
    return connection.defineXML(_HEAVY.format(name=name, memory=_WEIGHT + 28, file=file))


@contextmanager
def driver_guests(lab: Daemon, names: Iterable[str]) -> Generator[libvirt.virConnect]:
    """Start guests of libvirt's test driver in the daemon; its world lasts as long as this connection."""
    with reached(lab, lab.test) as connection:
        remove(connection, [domain.name() for domain in connection.listAllDomains()])
        for name in names:
            connection.defineXML(_TEST.format(name)).create()
        yield connection


@contextmanager
def opened(uri: str) -> Generator[libvirt.virConnect]:
    """A connection, closed at the end."""
    libvirt.registerErrorHandler(_ignore, None)
    connection = libvirt.open(uri)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def reached(lab: Daemon, uri: str) -> Generator[libvirt.virConnect]:
    """The same to a daemon that may just be coming back, and resets whoever is too early: as long as it moves."""
    libvirt.registerErrorHandler(_ignore, None)

    def connect() -> libvirt.virConnect | None:
        try:
            return libvirt.open(uri)
        except libvirt.libvirtError:
            return None

    connection = wait_until(connect, f"libvirtd lets somebody in at {uri}", process=lab.process.pid)
    assert connection is not None
    try:
        yield connection
    finally:
        connection.close()


def _ignore(_context: object, _error: object) -> None:
    """libvirt would print every error."""


def remove(connection: libvirt.virConnect, names: Iterable[str]) -> None:
    """Force off and undefine, whatever state they are in."""
    wanted = set(names)
    for domain in connection.listAllDomains():
        if domain.name() in wanted:
            persistent = domain.isPersistent()  # a transient one is gone when it is off
            if domain.isActive():
                _force_off(domain)
            if persistent:
                saved = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE if domain.hasManagedSaveImage() else 0
                domain.undefineFlags(saved)


def _force_off(domain: libvirt.virDomain) -> None:
    try:
        domain.destroy()
    except libvirt.libvirtError:
        if domain.isActive():  # else it has gone off by itself meanwhile
            raise


def off(connection: libvirt.virConnect) -> set[str]:
    """The names of those that are off."""
    return {name for name, state in states(connection).items() if state == "off"}


def states(connection: libvirt.virConnect) -> dict[str, str]:
    """Every guest's state: running, paused, or off."""
    words = {
        libvirt.VIR_DOMAIN_RUNNING: "running",
        libvirt.VIR_DOMAIN_PAUSED: "paused",
        libvirt.VIR_DOMAIN_SHUTOFF: "off",
    }
    found: dict[str, str] = {}
    for domain in connection.listAllDomains():
        state: Any = domain.state()[0]
        found[domain.name()] = words.get(state, str(state))
    return dict(sorted(found.items()))
