"""Where a plugin comes from, and what is known about it."""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from enum import IntEnum
from pathlib import Path

from lastcall.api.markers import PROJECT
from lastcall.formats.values import value

NUMBER = re.compile(r"^\d+-")  # before the name of a drop-in, for its place in the order
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
    def called(self) -> str:
        """As people know it: `plugin 'bmc' (lastcall-bmc 0.1.0)`."""
        return f"plugin {self.name!r} ({self.where})"

    @property
    def well_named(self) -> bool:
        """True when the name can own a section of the configuration."""
        return _NAME.fullmatch(self.name) is not None


def bundled_alone() -> Mapping[str, str] | None:
    """The modules of the bundled plugins by name, where no other distribution offers any; else None.

    importlib.metadata, which knows all that a distribution can be, is a tenth of a start; on most hosts there is
    nothing that it could find. None as well where there is a doubt, for it to decide.
    """
    section = f"[{PROJECT}]"
    try:
        offers = {path: text for path in _distributions() if section.encode() in (text := _entry_points(path))}
        if len(offers) != 1:
            return None
        ((path, text),) = offers.items()
        _, _, lines = text.decode().partition(f"{section}\n")
    except (OSError, ValueError):
        return None
    pairs = (line.partition("=") for line in lines.partition("\n[")[0].splitlines() if line.strip())
    found = {name.strip(): module.strip() for name, _, module in pairs}
    ours = path.rpartition("/")[2].startswith(f"{PROJECT}-")
    return found if ours and all(module.startswith("lastcall_plugins.") for module in found.values()) else None


def _distributions() -> Iterator[str]:
    """The folders in which what is installed is described. Raises OSError where something else than folders is looked
    through for them, as an archive is."""
    for folder in dict.fromkeys(sys.path):
        try:
            with os.scandir(folder or ".") as entries:
                names = [entry.name for entry in entries]
        except FileNotFoundError:  # as of the archive of the standard library, which is on every path
            continue
        if folder.endswith(".egg") or any(name.endswith(".egg") for name in names):
            raise NotADirectoryError(folder)
        yield from (f"{folder or '.'}/{name}" for name in names if name.endswith((".dist-info", ".egg-info")))


def _entry_points(distribution: str) -> bytes:
    file = f"{distribution}/entry_points.txt"
    # Most have none. A hundred paths and errors to find that out took longer than all else here.
    try:
        return Path(file).read_bytes() if os.access(file, os.F_OK) else b""
    except (FileNotFoundError, NotADirectoryError):
        return b""
