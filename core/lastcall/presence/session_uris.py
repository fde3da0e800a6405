"""Connections to the libvirt of a user's session on this host, which serve runs by hand only."""

import socket
from collections.abc import Iterable, Iterator
from urllib.parse import parse_qs, unquote, urlsplit

from lastcall.errors import Problem, Severity

_SESSION = "/session"


def is_own_session(uri: str) -> bool:
    """Whether a URI leads to a user's session on this host, whatever its driver and transport.

    Not one of another host, whose sessions do not end with this host. What is no URI, such as `default`, is none.
    """
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
        # A daemon is told by `name` what to open, and then the path counts for nothing.
        told = parse_qs(parts.query).get("name", [])
        path = urlsplit(told[-1]).path if told else parts.path
    except ValueError:  # a bracket too many, say: no connection, whose error tells
        return False
    return bool(parts.scheme) and unquote(path).rstrip("/") == _SESSION and _is_here(host)


def by_hand_only(uris: Iterable[str]) -> Iterator[Problem]:
    """A warning for each of them that is one.

    Measured: at logind's signal, before any unit is stopped, the libvirt of a session (9.0) saves its guests and ends.
    Where that takes longer than logind waits, or another way leads to the poweroff, systemd ends daemon and guests with
    the session's scope. A unit that is ordered before that scope only ever finds that nobody is there any more.
    """
    for uri in dict.fromkeys(uris):
        if is_own_session(uri):
            yield Problem(
                what="session",
                where=uri,
                message="serves runs by hand only: when the host stops, the session's own libvirt saves its guests, or "
                "they end with the session, before they could be asked; at boot it is not there",
                remedy="`lastcall shutdown` before the host stops; guests that are to be asked then belong to a system "
                "connection, such as qemu:///system",
                severity=Severity.WARNING,
            )


def _is_here(host: str) -> bool:
    own = socket.gethostname().lower()
    local = host in {"", "localhost", "::1", own, own.partition(".")[0]}
    return local or host.startswith("127.") or host.endswith((".localhost", "localhost.localdomain"))
