"""The order in which people count: db-2 comes before db-12."""

import re

_DIGITS = re.compile(r"([0-9]+)")
NaturalKey = tuple[tuple[tuple[int, int, str], ...], str]


def natural_key(text: str) -> NaturalKey:
    """A key for `sorted`: numbers count by what they are worth; only equal texts have the same key."""
    # Not int(), which refuses a number of some thousand digits: of two without leading zeros the longer one is larger.
    # Numbers are every second part, so that a number never meets a text; a text counts in whatever case it is written.
    parts = _DIGITS.split(text)
    worth = (part.lstrip("0") if place % 2 else part.casefold() for place, part in enumerate(parts))
    return tuple((place % 2, len(part) if place % 2 else 0, part) for place, part in enumerate(worth)), text
