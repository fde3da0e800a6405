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
_LONG = 20  # characters; what is longer is no word of anybody's
_HOST = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,24}")
_WORDS = re.compile(r"[a-z]+(?:[._-][a-z]+)*")


@dataclass(frozen=True)
class Address:
    """One address: its `place` is the file with the line and what begins it, which is all that is shown of it.

    `words`: what else of it a service may say back, such as its host, or whom to write to.
    """

    place: str
    url: SecretText
    known_as: str = field(repr=False)
    words: frozenset[str] = field(default=frozenset(), repr=False)

    def hide(self) -> None:
        """Have this process say nothing of it any more: for one that says only what services answer."""
        for word in self.words:
            SecretText(word)


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


def _may_be_a_token(part: str) -> bool:
    """Whether it may be a credential, and not the name of a host, of a user or of a channel, which others may have to
    say as well: masked, the report of a run would not tell any more of which host a plugin speaks.
    """
    return not _HOST.fullmatch(part) and (len(part) > _LONG or not _WORDS.fullmatch(part))


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
        password, parts = split.password or "", {*_PARTS.split(f"{split.netloc}/{split.path}?{split.query}")}
    except ValueError:
        password, parts = "", {*_PARTS.split(url)}
    parts = {part for part in parts if len(part) >= _SHORTEST and not _is_machine(part)}
    credentials = {password, *filter(_may_be_a_token, parts)}
    for part in credentials | {unquote(one) for one in credentials}:
        SecretText(part)
    words = parts | {unquote(one) for one in parts}
    # Eight digits: enough to tell a few apart, too few for anybody to try passwords by.
    known_as = hashlib.sha256(url.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    place = f"{where} ({scheme[0]})" if scheme else where
    return Address(place, SecretText(url), known_as, frozenset(words))
