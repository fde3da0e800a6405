"""libvirt's errors as ours, by their codes: their texts are in the daemon's language, and good for remedies only."""

from collections.abc import Generator
from contextlib import contextmanager

import libvirt

from lastcall.errors import (
    ConnectionLost,
    DomainBusy,
    GuestGone,
    HypervisorError,
    NotPermitted,
    OperationInvalid,
    Unsupported,
)

_DENIED = {
    libvirt.VIR_ERR_OPERATION_DENIED,
    libvirt.VIR_ERR_AUTH_FAILED,
    libvirt.VIR_ERR_ACCESS_DENIED,
    libvirt.VIR_ERR_AUTH_CANCELLED,
    libvirt.VIR_ERR_AUTH_UNAVAILABLE,
}
_UNSUPPORTED = {
    libvirt.VIR_ERR_NO_SUPPORT,
    libvirt.VIR_ERR_INVALID_ARG,
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
    libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED,
    libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
    libvirt.VIR_ERR_AGENT_UNRESPONSIVE,
    libvirt.VIR_ERR_AGENT_UNSYNCED,
}
# What a call ends with whose connection was cut. A keepalive that ran out came as code 1, which other errors share:
# whether the connection lives decides, not the code.
_RPC_ENDED = {libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_ERR_RPC, libvirt.VIR_ERR_SYSTEM_ERROR}


def translate(error: libvirt.libvirtError, connection: libvirt.virConnect | None = None) -> HypervisorError:
    """Turn a libvirt error into ours; a dead connection explains every error on it, whatever its code says."""
    code: int = error.get_error_code() or 0
    text = (error.get_error_message() or str(error)).strip()
    if connection is not None and code in _RPC_ENDED and not _alive(connection):
        return ConnectionLost(f"the connection to libvirt was lost: {text}", code=code)
    if code == libvirt.VIR_ERR_NO_DOMAIN:
        return GuestGone(text, code=code)
    if code == libvirt.VIR_ERR_OPERATION_INVALID:
        return OperationInvalid(text, code=code)
    if code == libvirt.VIR_ERR_OPERATION_TIMEOUT:
        return DomainBusy(text, code=code)
    if code in _UNSUPPORTED:
        return Unsupported(text, code=code)
    # A socket that may not be opened is a plain system error to libvirt; only the operating system's text tells.
    if code in _DENIED or "Permission denied" in text:
        return NotPermitted(text, _permission_remedy(text), code=code)
    return HypervisorError(text, _remedy(text), code=code)


@contextmanager
def translated(connection: libvirt.virConnect | None = None) -> Generator[None]:
    """Raise HypervisorError for every libvirt error inside."""
    try:
        yield
    except libvirt.libvirtError as error:
        raise translate(error, connection) from None


def _alive(connection: libvirt.virConnect) -> bool:
    try:
        return bool(connection.isAlive())
    except libvirt.libvirtError:
        return False


def _permission_remedy(text: str) -> str:
    if "read only" in text:
        return "the connection is read-only: use a URI that allows changes"
    return "run as root, or as a member of the libvirt group"


def _remedy(text: str) -> str:
    if "Failed to connect socket" in text or "Connection refused" in text:
        return "is the libvirt daemon running? `systemctl start libvirtd` (or virtqemud), and check the URI"
    if "no connection driver available" in text:
        return "check the URI; `virsh -c URI list` has to work"
    return ""
