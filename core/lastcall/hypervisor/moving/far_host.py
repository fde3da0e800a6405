"""Another host's libvirt, reached by a connection of our own: it may be frozen, or die, at any moment."""

import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import libvirt

from lastcall.api.guests import host_of
from lastcall.errors import HypervisorError
from lastcall.hypervisor.event_loop import start_event_loop
from lastcall.hypervisor.libvirt_errors import translated
from lastcall.threads.box import Box

T = TypeVar("T")
# A migration holds its guest's job until the other host has answered: with this pair a libvirtd that froze in the
# middle cost 6 s, and the guest could be asked by ACPI then. By libvirt's own (peer-to-peer) it was destroyed.
KEEPALIVE = (2, 2)  # seconds between, and number of, unanswered messages until a silent peer counts as dead
_USABLE = ("free", "buffers", "cached")  # what the kernel gives to a guest that starts


class FarHost:
    """An open connection to another host's libvirt. `name`: what that host calls itself; `free`: bytes."""

    def __init__(self, uri: str, connection: libvirt.virConnect) -> None:
        with translated():
            if connection.getType() != "QEMU":
                raise HypervisorError(f"{uri} has no QEMU guests")
            self.uri, self.connection = uri, connection
            self.name: str = connection.getHostname() or ""
            self.free = _free_memory(connection)

    def close(self) -> None:
        """Close the connection in a thread of its own: where the other end is frozen that may hang, and is left."""
        threading.Thread(target=_close, args=(self.connection,), name="lastcall-far-host", daemon=True).start()


def reach(uri: str, *, within: float) -> FarHost:
    """Connect to another host and ask it for what has to be known, all within so many seconds.

    Raises HypervisorError, which names the host.
    """
    # To open a connection to a frozen daemon does not return and cannot be ended: the thread is left to itself.
    return ask_far(uri, lambda: FarHost(uri, _open(uri)), within=within)


def ask_far(uri: str, work: Callable[[], T], *, within: float) -> T:
    """Have a thread of its own do what asks another host, bounded by these seconds; raises HypervisorError."""
    box = Box()
    try:
        return box.call(work, timeout=max(0.0, within))
    except TimeoutError:
        message = f"{host_of(uri)} does not answer within {within:.1f} s"
        raise HypervisorError(message, f"is its libvirt daemon hanging? `virsh -c {uri} list` has to work") from None
    except HypervisorError as error:
        raise named(uri, error) from None
    finally:
        box.close()


def named(uri: str, error: HypervisorError) -> HypervisorError:
    """The same error, which says whose it is."""
    return type(error)(f"{host_of(uri)}: {error}", error.remedy, code=error.code)


def _open(uri: str) -> libvirt.virConnect:
    start_event_loop()
    with translated():
        connection = libvirt.open(uri)
    with contextlib.suppress(libvirt.libvirtError):
        connection.setKeepAlive(*KEEPALIVE)
    return connection


def _free_memory(connection: libvirt.virConnect) -> int:
    """Bytes that a guest could have there. What libvirt calls free lacks the page cache, which makes room."""
    told: Any = connection.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS)
    return sum(int(told.get(kind, 0)) for kind in _USABLE) << 10


def _close(connection: libvirt.virConnect) -> None:
    with contextlib.suppress(libvirt.libvirtError):
        connection.close()
