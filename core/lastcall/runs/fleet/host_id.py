"""What this host is called at a lock server: its machine id, hashed so that nobody learns it."""

import hashlib
import hmac
from pathlib import Path
from uuid import UUID

from lastcall.errors import LastcallError
from lastcall.formats.reading import read_text

MACHINE_ID = Path("/etc/machine-id")
# Ours alone: another program's name for the same host has nothing in common with it.
APPLICATION = UUID("5f1c6f0b-6c0e-4e29-9c3b-0b3e6d0f7a51")


def host_id(path: Path = MACHINE_ID) -> str:
    """What `systemd-id128 machine-id --app-specific=…` says; raises LastcallError where the host has no id.

    The machine id itself is secret, by machine-id(5): it may be what keys are made of.
    """
    try:
        machine = UUID(read_text(path, 100).strip())
    except (OSError, ValueError):
        remedy = "`systemd-machine-id-setup`, or set fleet_lock.id"
        raise LastcallError(f"{path} has no machine id, by which this host could be told from others", remedy) from None
    digest = hmac.new(machine.bytes, APPLICATION.bytes, hashlib.sha256).digest()[:16]
    return UUID(bytes=digest, version=4).hex
