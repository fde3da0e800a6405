"""Guests that go on from where another one was saved, under names of their own.

What libvirt saves is a guest's XML and the state of its QEMU. With the XML of another guest that has the same devices,
it is that one who wakes up.
"""

import shutil
import struct
from pathlib import Path

import libvirt

from lab.daemon import Daemon

# libvirt's own: magic, version, length of what follows until the state, was running, compression, cookie, reserved.
_HEADER = struct.Struct("=16s5I56x")
_MAGIC, _VERSION = b"LibvirtQemudSave", 2
_CHUNK = 2**20


def keep_state(lab: Daemon, name: str, state: Path) -> None:
    """Save a guest that runs, and keep its state only."""
    saved = state.with_suffix(".saved")
    lab.virsh("save", name, str(saved))
    with saved.open("rb") as file, state.open("wb") as kept:
        _, _, length, _, _, _ = _HEADER.unpack(file.read(_HEADER.size))
        file.seek(length, 1)
        shutil.copyfileobj(file, kept, _CHUNK)
    saved.unlink()


def save_as(target: Path, xml: str, state: Path) -> None:
    """Write what libvirt would have saved of a guest (`xml` as libvirt tells it) in this state."""
    told = xml.encode() + b"\0"
    with target.open("wb") as written, state.open("rb") as kept:
        written.write(_HEADER.pack(_MAGIC, _VERSION, len(told), True, 0, 0) + told)
        shutil.copyfileobj(kept, written, _CHUNK)


def wake_up(connection: libvirt.virConnect, xml: str, state: Path, scratch: Path) -> None:
    """Define a guest and have it go on from this state; `scratch` is a file for a moment."""
    domain = connection.defineXML(xml)
    try:
        save_as(scratch, domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE), state)
        connection.restore(str(scratch))
    finally:
        scratch.unlink(missing_ok=True)
