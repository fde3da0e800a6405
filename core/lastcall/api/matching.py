"""What it means that a guest matches: in the rules of the configuration, on the command line, and in a hook."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Protocol, TypeVar

from lastcall.api.guests import Guest
from lastcall.errors import AmbiguousGuest, UnknownGuest
from lastcall.formats.nearest import did_you_mean

KEYS = ("name", "uuid", "uri", "state")


class Identified(Protocol):
    """A guest, or what became of one."""

    @property
    def name(self) -> str:
        """Its name, which others may have on other connections."""
        ...

    @property
    def uuid(self) -> str:
        """The domain's UUID."""
        ...

    @property
    def uri(self) -> str:
        """Its connection."""
        ...


IdentifiedT = TypeVar("IdentifiedT", bound=Identified)


def matches(
    guest: Guest, *, name: str | None = None, uuid: str | None = None, uri: str | None = None, state: str | None = None
) -> bool:
    """Whether all that is given fits the guest: a name and a URI as they are written or as globs, a UUID, a state."""
    return (
        (name is None or is_like(guest.name, name))
        and (uuid is None or guest.uuid == uuid.lower())
        and (uri is None or is_like(guest.uri, uri))
        and (state is None or guest.state == state)
    )


def is_like(text: str, pattern: str) -> bool:
    """Whether a pattern covers a text; upper and lower case differ."""
    # Compared as it is written, too: as a glob, `db[1]` does not match a guest of that name, nor `[::1]` a host.
    return text == pattern or fnmatchcase(text, pattern)


def only_one(name: str, among: Iterable[IdentifiedT], uri: str | None = None) -> IdentifiedT:
    """The one of this name or UUID, on this connection where one is given. Raises UnknownGuest and AmbiguousGuest."""
    there = [one for one in among if uri in {None, one.uri}]
    # A name first: somebody may call a guest by the UUID of another.
    found = [one for one in there if one.name == name] or [one for one in there if one.uuid == name.lower()]
    if not found:
        on = f" on {uri}" if uri else ""
        raise UnknownGuest(f"no guest{on} is called {name!r}{did_you_mean(name, (one.name for one in there))}")
    if len(found) > 1:
        uris = " and ".join(sorted(one.uri for one in found))
        raise AmbiguousGuest(f"several guests are called {name!r}: on {uris}", "say which by uri=…")
    return found[0]
