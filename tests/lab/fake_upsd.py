"""A server in place of NUT's, for what that would never answer."""

import contextlib
import socket
import threading
from collections.abc import Callable, Generator, Mapping

from lastcall_plugins.power.address import UpsAddress, parse_address

Answers = Mapping[str, bytes] | Callable[[socket.socket], None]


@contextlib.contextmanager
def fake_upsd(answers: Answers) -> Generator[UpsAddress]:
    """A server: what it answers to which variable, or what it does with whoever calls."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    caller, _ = server.accept()
                    threading.Thread(target=attend, args=(caller,), daemon=True).start()

        def attend(caller: socket.socket) -> None:
            with caller, contextlib.suppress(OSError):
                if callable(answers):
                    answers(caller)
                    return
                for line in caller.makefile():
                    caller.sendall(answers.get(line.split()[-1], b"ERR VAR-NOT-SUPPORTED\n"))

        threading.Thread(target=serve, daemon=True).start()
        yield parse_address(f"rack@127.0.0.1:{server.getsockname()[1]}")
