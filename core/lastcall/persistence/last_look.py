"""What each guest's metadata said when libvirt answered last: counts where a guest cannot be looked at."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lastcall.api.guests import Key
from lastcall.formats.decoding import from_json
from lastcall.formats.json_text import to_json
from lastcall.formats.reading import read_text
from lastcall.formats.values import value
from lastcall.persistence.files import write_whole

VERSION = 1
LARGEST = 64 << 20  # bytes; a guest has some hundred, and at most some thousand
FORGET = timedelta(days=400)  # after which a guest that was not seen is forgotten


@value
class Seen:
    """One guest's metadata, key by key, and the day of the look (`2026-11-25`, UTC)."""

    metadata: Mapping[str, str]
    day: str


class LastLook:
    """`<paths.state>/last-look.json` (mode 0600). Without it a guest that cannot be looked at is treated with care."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "last-look.json"

    def recall(self, keys: Iterable[Key]) -> dict[Key, Seen]:
        """What is known of these guests. A file that is missing or cannot be understood is as good as none. Blocks."""
        seen = self._read()
        return {key: seen[_name(key)] for key in keys if _name(key) in seen}

    def remember(self, metadata: Mapping[Key, Mapping[str, str]], *, make_folder: bool) -> None:
        """Keep what these guests' metadata say. Blocks. What cannot be kept is not: a run must not fail by it.

        `make_folder`: a state folder that is missing is made; else nothing is kept there.
        """
        now = datetime.now(UTC)
        today, oldest = f"{now:%Y-%m-%d}", f"{now - FORGET:%Y-%m-%d}"
        try:
            if not make_folder and not self.path.parent.is_dir():
                return
            before = self._read()
            fresh = {_name(key): Seen(dict(texts), today) for key, texts in metadata.items()}
            after = {name: seen for name, seen in {**before, **fresh}.items() if seen.day >= oldest}
            if after != before:  # most runs find what the one before found
                # Nobody misses it after a power cut, and a sync costs the host's last seconds.
                write_whole(self.path, to_json({"version": VERSION, "guests": after}), sync=False)
        except OSError:
            return

    def _read(self) -> dict[str, Seen]:
        try:
            content: Any = from_json(read_text(self.path, LARGEST))
            guests: dict[str, Any] = content["guests"] if content["version"] == VERSION else {}
            return {
                name: Seen({str(key): str(text) for key, text in one["metadata"].items()}, str(one["day"]))
                for name, one in guests.items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}


def _name(key: Key) -> str:
    return f"{key[0]} {key[1]}"
