"""Whom to tell: addresses of Apprise, kept one a line where only root can read them, and shown to nobody."""

import hashlib
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from lastcall import LastcallError, SecretText
from lastcall.options import Secret

_PARTS = re.compile(r"[/?&;=,:@]+")
_SHORTEST = 6  # characters of a part of an address that may be a token


@dataclass(frozen=True)
class Address:
    """One address: its `place` is the file with the line and what begins it, which is all that is shown of it."""

    place: str
    url: SecretText
    known_as: str = field(repr=False)


def addresses_of(places: Iterable[Secret]) -> tuple[list[Address], list[LastcallError]]:
    """All that can be read, and why the others cannot."""
    found, failed = dict[str, Address](), list[LastcallError]()
    for secret in places:
        try:
            lines = secret.read().reveal().splitlines()
        except LastcallError as error:
            failed.append(error)
            continue
        for number, line in enumerate(map(str.strip, lines), 1):
            if line and not line.startswith("#"):
                address = _address(line, f"{secret.reference}:{number}")
                found.setdefault(address.known_as, address)
    return list(found.values()), failed


def _is_machine(part: str) -> bool:
    """Whether it only says where a service is: masked, other plugins could not say any more whom they speak with."""
    try:
        return part == "localhost" or bool(ipaddress.ip_address(part.strip("[]")))
    except ValueError:
        return False


def _address(url: str, where: str) -> Address:
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*(?=://)", url)
    # Tokens come back alone: "chat 4711 of bot 123:ABC is unknown", says a service.
    try:
        split = urlsplit(url)
        parts = {split.password or "", *_PARTS.split(f"{split.netloc}/{split.path}?{split.query}")}
    except ValueError:
        parts = {*_PARTS.split(url)}
    for part in parts:
        if len(part) >= _SHORTEST and not _is_machine(part):
            SecretText(part)
            SecretText(unquote(part))
    # Eight digits: enough to tell a few apart, too few for anybody to try passwords by.
    known_as = hashlib.sha256(url.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return Address(f"{where} ({scheme[0]})" if scheme else where, SecretText(url), known_as)
