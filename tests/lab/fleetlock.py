"""A small server of the FleetLock protocol, which keeps to it: who may reboot, so many of each group at once."""

import json
import re
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.client import parse_headers
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_GROUP = re.compile(r"[a-zA-Z0-9.-]+")


class Locks:
    """Who holds a slot, by group, and what was asked: (time on the monotonic clock, endpoint, who, HTTP status)."""

    def __init__(self, slots: int = 1) -> None:
        self._slots, self._turn = slots, threading.Lock()
        self.holders: dict[str, set[str]] = {}
        self.asked: list[tuple[float, str, str, int]] = []

    def answer(self, endpoint: str, headers: Any, body: bytes) -> tuple[int, dict[str, str]]:
        """The status, and the error that goes with it."""
        with self._turn:
            who, status, error = self._answer(endpoint, headers, body)
            self.asked.append((time.monotonic(), endpoint, who, status))
        return status, error

    def _answer(self, endpoint: str, headers: Any, body: bytes) -> tuple[str, int, dict[str, str]]:
        if headers.get("fleet-lock-protocol") != "true":
            return "", 400, _error("no_protocol_header", "the header fleet-lock-protocol is missing")
        try:
            given = json.loads(body)["client_params"]
            who, group = given["id"], given["group"]
        except (ValueError, KeyError, TypeError):
            return "", 400, _error("bad_body", "no client_params with id and group")
        if not (isinstance(who, str) and who and isinstance(group, str) and _GROUP.fullmatch(group)):
            return "", 400, _error("bad_body", "no client_params with id and group")
        holders = self.holders.setdefault(group, set())
        if endpoint.endswith("/v1/steady-state"):
            holders.discard(who)
            return who, 200, {}
        if not endpoint.endswith("/v1/pre-reboot"):
            return who, 404, _error("no_endpoint", "there is no such endpoint")
        if who not in holders and len(holders) >= self._slots:
            return who, 409, _error("failed_lock_semaphore_full", f"all slots are taken, by {', '.join(holders)}")
        holders.add(who)
        return who, 200, {}


def _error(kind: str, told: str) -> dict[str, str]:
    return {"kind": kind, "value": told}


class _Handler(BaseHTTPRequestHandler):
    """One question."""

    locks: Locks

    def do_POST(self) -> None:
        """Answer it."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        status, error = self.locks.answer(self.path, self.headers, body)
        answer = json.dumps(error).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  as http.server has it
        """Nobody reads it."""

    def address_string(self) -> str:
        """A Unix socket has none."""
        return "-"


class _UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@contextmanager
def over_tcp(locks: Locks, context: ssl.SSLContext | None = None) -> Generator[int]:
    """Answer on a port of the loopback device, which is returned."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(locks))
    server.daemon_threads = True
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    with _serving(server):
        yield server.server_address[1]


@contextmanager
def over_unix(locks: Locks, path: Path) -> Generator[None]:
    """Answer on a socket in the file system, which hosts without a network can be shown."""
    with _serving(_UnixServer(str(path), _handler(locks))):
        yield


def _handler(locks: Locks) -> type[_Handler]:
    return type("Handler", (_Handler,), {"locks": locks})


@contextmanager
def _serving(server: socketserver.BaseServer) -> Generator[None]:
    threading.Thread(target=lambda: server.serve_forever(0.05), daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def saying(answer: bytes, *, slowly: float = 0.0) -> Generator[int]:
    """Answer whatever is asked with these very bytes, one every so many seconds; returns the port."""
    listening = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=_say, args=(connection, answer, slowly, ended), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listening.getsockname()[1]
    finally:
        ended.set()
        listening.shutdown(socket.SHUT_RDWR)  # ends the accept
        listening.close()


def _say(connection: socket.socket, answer: bytes, slowly: float, ended: threading.Event) -> None:
    with connection:
        try:
            _hear(connection)
            if not slowly:
                connection.sendall(answer)
            for byte in answer if slowly else b"":
                connection.sendall(bytes([byte]))
                if ended.wait(slowly):
                    return
        except OSError:
            return


def _hear(connection: socket.socket) -> None:
    """Read the whole question: whoever closes before that resets the connection, and the answer is lost with it."""
    with connection.makefile("rb") as heard:
        heard.readline()
        heard.read(int(parse_headers(heard).get("Content-Length", "0")))
