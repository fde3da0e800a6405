"""What it means that a guest matches: in the rules of the configuration, and on the command line."""

from fnmatch import fnmatchcase

from lastcall.api.guests import Guest

KEYS = ("name", "uuid", "uri", "state")


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
