"""Where a UPS is found, as NUT writes it: `name@host:port`."""

import re
from dataclasses import dataclass

PORT = 3493
_SHAPE = "write its name and its host, such as ups@localhost or rack@192.0.2.7:3493"
# A name goes into a line of the protocol: with a line end in it, it would be a command of its own.
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_HOST = re.compile(r"\[(?P<six>[0-9A-Fa-f:.%A-Za-z0-9_-]{2,100})\]|(?P<plain>[A-Za-z0-9_.-]{1,253})")


@dataclass(frozen=True)
class UpsAddress:
    """One UPS. `text`: as somebody has written it, by which it is known everywhere else."""

    text: str
    name: str
    host: str
    port: int


def parse_address(text: str) -> UpsAddress:
    """Read an address; without a host it is this one. Raises ValueError, which says what is wrong with it."""
    name, at, place = text.partition("@")
    if not _NAME.fullmatch(name):
        meant = text.rpartition("/")[2].partition(":")[0]
        hint = f"; did you mean ups@{meant}?" if "://" in text and _HOST.fullmatch(meant) else ""
        raise ValueError(f"{text!r} is no UPS{hint or f': {_SHAPE}'}")
    if not at:
        return UpsAddress(text, name, "localhost", PORT)
    found = _HOST.match(place)
    if place.count(":") > 1 and not (found and found["six"]):
        raise ValueError(f"{text!r}: write an address of IPv6 in brackets; did you mean {name}@[{place}]?")
    if not found:
        raise ValueError(f"{text!r} names no host: {_SHAPE}")
    host, rest = found["six"] or found["plain"], place[found.end() :]
    if not rest:
        return UpsAddress(text, name, host, PORT)
    port = rest.removeprefix(":")
    if not rest.startswith(":") or not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65_535:
        raise ValueError(f"{text!r}: {rest!r} is no port; NUT's is {PORT}, did you mean {name}@{place[: found.end()]}?")
    return UpsAddress(text, name, host, int(port))
