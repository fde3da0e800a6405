"""Those who are told by `notify`, on loopback: a web server as Apprise's `json://` wants it, good or bad."""

import json
import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class WebHook:
    """A server; `taken` are the messages that it has acknowledged. Its `status` and `delay` may change at any time."""

    port: int = 0
    status: int = 200
    delay: float = 0.0  # seconds until it answers
    taken: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    asked: int = 0

    @property
    def url(self) -> str:
        """Its address, with a password and a token."""
        return f"json://user:s3cret-word@127.0.0.1:{self.port}/t0ken-of-mine"

    def titles(self) -> list[str]:
        """What was taken."""
        return [one["title"] for one in self.taken]

    def wait_for(self, count: int, seconds: float = 20.0) -> list[str]:
        """The titles as soon as there are so many."""
        ends = time.monotonic() + seconds
        while len(self.taken) < count and time.monotonic() < ends:
            time.sleep(0.02)
        return self.titles()


@contextmanager
def web_hook() -> Generator[WebHook]:
    """One that listens."""
    hook = WebHook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hook.asked += 1
            text = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(hook.delay)
            if hook.status == 200:
                hook.taken.append(json.loads(text))
            self.send_response(hook.status)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    hook.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def deaf_server() -> Generator[int]:
    """The port of one that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
