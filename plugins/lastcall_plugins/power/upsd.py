"""Speaks to NUT's server, upsd: a line with a question, a line with the answer, all of it within a time.

https://networkupstools.org/docs/developer-guide.chunked/net-protocol.html
"""

import re
import socket
import time
from typing import Self

from lastcall_plugins.power.address import UpsAddress

LONGEST = 1024  # bytes of a line; a value has 256 characters at most
_ANSWER = re.compile(r'VAR (\S+) (\S+) "((?:[^"\\]|\\.)*)"')
_LOGINS = re.compile(r"NUMLOGINS \S+ ([0-9]{1,6})")
# Python's numbers may have underscores, and digits of any script.
_NUMBER = re.compile(r"[-+.0-9a-z]{1,32}")
_NOT_SAID = {"VAR-NOT-SUPPORTED", "UNKNOWN-COMMAND", "FEATURE-NOT-CONFIGURED"}
_WORDS = {
    "UNKNOWN-UPS": "the server knows no UPS of this name",
    "DATA-STALE": "the server has heard nothing of it for a while",
    "DRIVER-NOT-CONNECTED": "its driver is not connected to the server",
    "ACCESS-DENIED": "the server denies access",
}


class NoAnswer(Exception):
    """A UPS, or its server, does not say; `str()` says why."""


class Upsd:
    """A connection about one UPS; what it is asked is answered until `seconds` are over. Raises NoAnswer.

    A name that has to be resolved may take longer, as that has no limit of its own.
    """

    def __init__(self, address: UpsAddress, seconds: float) -> None:
        self._ups, self._until, self._rest = address.name, time.monotonic() + seconds, b""
        try:
            self._socket = socket.create_connection((address.host, address.port), timeout=max(0.01, seconds))
        except OSError as error:
            raise NoAnswer(f"no connection to {address.host}: {_why(error)}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def variable(self, name: str) -> str | None:
        """What the UPS says; None where it does not have that."""
        line = self._ask(f"GET VAR {self._ups} {name}")
        found = line and _ANSWER.fullmatch(line)
        if found and found[2] == name:
            return re.sub(r"\\(.)", r"\1", found[3])
        return self._no_value(line)

    def number(self, name: str) -> float | None:
        """The same as a number; None also where it is none."""
        text = self.variable(name) or ""
        try:
            return float(text) if _NUMBER.fullmatch(text) else None
        except ValueError:
            return None

    def logins(self) -> int | None:
        """How many hosts live by this UPS, this one among them."""
        line = self._ask(f"GET NUMLOGINS {self._ups}")
        found = line and _LOGINS.fullmatch(line)
        return int(found[1]) if found else self._no_value(line)

    def _no_value(self, line: str) -> None:
        kind, _, code = line.partition(" ")
        if kind != "ERR":
            raise NoAnswer(f"what answers does not speak NUT's protocol: {line[:60]!r}")
        if code.partition(" ")[0] not in _NOT_SAID:
            raise NoAnswer(_WORDS.get(code, f"the server says {code[:60]!r}"))

    def _ask(self, question: str) -> str:
        try:
            self._socket.settimeout(self._left())
            self._socket.sendall(f"{question}\n".encode("ascii"))
            return self._line()
        except OSError as error:
            raise NoAnswer(_why(error)) from None

    def _line(self) -> str:
        """One line. Bit by bit, each in time, it would last for ever: all of it has one end."""
        while b"\n" not in self._rest:
            self._socket.settimeout(self._left())
            more = self._socket.recv(LONGEST)
            if not more:
                raise NoAnswer("the server has closed the connection")
            self._rest += more
            if len(self._rest) > 2 * LONGEST:
                raise NoAnswer(f"what answers does not speak NUT's protocol: a line of more than {LONGEST} bytes")
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode(errors="replace").rstrip("\r")

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def _why(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror or str(error)).lower()
