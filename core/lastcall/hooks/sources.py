"""Where a plugin comes from, and what is known about it."""

from dataclasses import dataclass
from enum import IntEnum


class Origin(IntEnum):
    """The source of a plugin; a higher one wins where two offer the same stop method."""

    BUNDLED = 0
    PACKAGE = 1
    DROPIN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One plugin: its name, where it comes from, the file or distribution, and what sorts it within its band."""

    name: str
    origin: Origin
    where: str
    sort_key: str
