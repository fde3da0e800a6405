"""sd_notify: what systemd shows of a unit, and more time while a run makes progress."""

import os
import socket
from collections.abc import MutableMapping

from lastcall.formats.visible_text import visible

# Set for an ExecStop only with NotifyAccess=exec or all: with main there is no socket at all. With it a stop of 10 s
# survived TimeoutStopSec=3 by asking for more.
VARIABLE = "NOTIFY_SOCKET"


class Notifier:
    """Sends to systemd's notification socket; what it does not take is lost, as it must never hold up a run."""

    def __init__(self, address: str) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> "Notifier | None":
        """The one that systemd offers, if any; taken out of the environment: programs that hooks start have no say."""
        address = environment.pop(VARIABLE, "")
        return cls(address) if address.startswith(("/", "@")) else None

    def send(self, *, status: str = "", extend: float = 0.0) -> None:
        """Show a line, and ask for this many seconds from now where the unit's time would be over before."""
        lines = [f"STATUS={visible(' '.join(status.split()))}"] if status else []
        lines += [f"EXTEND_TIMEOUT_USEC={int(extend * 1e6)}"] if extend > 0 else []
        if lines:
            send(self._address, "\n".join(lines).encode())  # where it is lost, the next one is a second away


def send(address: str, data: bytes) -> bool:
    """Send a datagram to a local socket without waiting; returns whether it was taken."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        # Where its reader hangs, a full socket would hold up every guest.
        sender.setblocking(False)
        try:
            sender.sendto(data, address)
        except OSError:
            return False
    return True
