"""Where a plugin comes from, and what is known about it."""

import re
from enum import IntEnum

from lastcall.formats.values import value

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Origin(IntEnum):
    """The source of a plugin; a higher one wins where two offer the same stop method."""

    BUNDLED = 0
    PACKAGE = 1
    DROPIN = 2


@value(kw_only=True)
class Source:
    """One plugin: its name, where it comes from, the file or distribution, and what sorts it within its band."""

    name: str
    origin: Origin
    where: str
    sort_key: str

    @property
    def well_named(self) -> bool:
        """True when the name can own a section of the configuration."""
        return _NAME.fullmatch(self.name) is not None
