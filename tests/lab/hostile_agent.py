"""A guest agent that answers as it likes: it is who libvirt talks to, in place of the guest's own."""

import contextlib
import json
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_SYNCHRONISING = {"guest-sync", "guest-sync-delimited"}
LIES = (
    b'{"return": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    b'{"return": "\xff\xfe\x1b[2J"}',
    b'{"return": ' + b"9" * 100_000 + b"}",
    json.dumps({"return": {"pid": -1, "exited": "no", "out-data": "\ud800", "name": "x" * 1_000_000}}).encode(),
    b'{"error": {"class": "\xe2\x80\xae", "desc": "' + b"\\u001b[31m" * 1000 + b'"}}',
    b"no JSON at all",
)
"""Answers that are malformed, huge, deep, or of another shape; they are given in turn."""


@contextmanager
def hostile_agent(path: Path, *, mute: bool = False) -> Generator[str]:
    """Serve at a socket, whose channel for a domain's XML is yielded; `mute`: it only says that it is there."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        threading.Thread(target=_accept, args=(listener, mute), daemon=True).start()
        try:
            yield (
                f"<channel type='unix'><source mode='connect' path='{path}'/>"
                "<target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
            )
        finally:
            path.unlink()
            listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, mute: bool) -> None:
    with contextlib.suppress(OSError):  # the end
        while True:
            # QEMU's end, which says what the guest says, is one of those that come; whoever asks is libvirt.
            connection, _ = listener.accept()
            threading.Thread(target=_serve, args=(connection, mute), daemon=True).start()


def _serve(connection: socket.socket, mute: bool) -> None:
    said = 0
    with connection, contextlib.suppress(OSError), connection.makefile("rb") as lines:
        for line in lines:
            try:
                asked = json.loads(line.lstrip(b"\xff"))
            except ValueError:
                continue
            if asked["execute"] in _SYNCHRONISING:
                mark = b"\xff" if asked["execute"] == "guest-sync-delimited" else b""
                connection.sendall(mark + json.dumps({"return": asked["arguments"]["id"]}).encode() + b"\n")
            elif not mute:
                connection.sendall(LIES[said % len(LIES)] + b"\n")
                said += 1
