"""Where a guest can be reached: as configured, by its DHCP lease, as its agent says, by ARP, and over AF_VSOCK."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from lastcall import Guest, HypervisorError, Run, ShellUnreachable
from lastcall_plugins.ssh.settings import SshSettings


@dataclass(frozen=True, slots=True)
class Address:
    """An IP address or name, or the CID of a guest's vsock device."""

    host: str | int
    port: int

    def __str__(self) -> str:
        return f"vsock:{self.host}:{self.port}" if isinstance(self.host, int) else f"{self.host}:{self.port}"

    def connect(self, timeout: float) -> socket.socket:
        """A connected socket. Raises OSError."""
        if isinstance(self.host, str):
            return socket.create_connection((self.host, self.port), timeout)
        sock = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        try:
            sock.settimeout(timeout)
            sock.connect((self.host, self.port))
        except OSError:
            sock.close()
            raise
        return sock


def addresses(guest: Guest, run: Run, settings: SshSettings) -> Iterator[Address]:
    """The addresses to try, each looked up only when those before it did not work. Raises ShellUnreachable for none."""
    if settings.address not in {None, "vsock"}:
        yield Address(str(settings.address), settings.port)
        return
    seen: set[str] = set()
    if settings.address is None and guest.driver == "QEMU":
        for host in _from_libvirt(guest, run):
            if host not in seen:
                seen.add(host)
                yield Address(host, settings.port)
    cid = cid_of(run.domain(guest).xml())
    if cid is not None:
        yield Address(cid, settings.port)
    elif not seen:
        tried = "no vsock device" if settings.address else "no DHCP lease, no word from its agent, no ARP entry"
        raise ShellUnreachable(f"no address of {guest.name} is known ({tried})", "set `ssh: {address: …}` for it")


def _from_libvirt(guest: Guest, run: Run) -> Iterator[str]:
    domain = run.domain(guest)
    # One by one: where the address of its lease answers, nobody has to be asked for more.
    for source in ("lease", "agent", "arp"):
        # Seen in the XML: to ask an agent that nobody is behind would cost a call in the few places for blocking ones.
        if source != "agent" or domain.agent_connected():
            with contextlib.suppress(HypervisorError):
                yield from domain.addresses(source)


def cid_of(xml: str) -> int | None:
    """The CID of the domain's vsock device."""
    element = ET.fromstring(xml).find("./devices/vsock/cid")  # noqa: S314  written by libvirt
    address = None if element is None else element.get("address")
    return int(address) if address else None
