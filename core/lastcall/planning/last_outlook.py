"""How long a host stop would take, as it was reckoned last: `status` has no time to plan anew."""

import binascii
import contextlib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from lastcall.api.guests import Key, Reason
from lastcall.api.results import StopForecast
from lastcall.formats.decoding import decoded, from_json
from lastcall.formats.json_text import to_json
from lastcall.formats.reading import read_text
from lastcall.formats.values import value
from lastcall.persistence.files import READERS, SMALL, write_whole

VERSION = 1


@value(kw_only=True)
class KeptForecast:
    """What a host stop would have been like `at` that time (RFC 3339); `who` and `files` tell whether guests and
    configuration are those of then.
    """

    at: str
    reason: Reason
    forecast: StopForecast
    who: str
    files: tuple[str, ...]

    def age(self) -> float:
        """Seconds since then; below 0 where the clock was set back."""
        return (datetime.now(UTC) - datetime.fromisoformat(self.at)).total_seconds()

    def doubt(self, files: Iterable[Path], active: Iterable[Key] | None) -> str:
        """Why it may not be true any more; nothing where it is. `active`: None where not all libvirts answer."""
        there = tuple(files)
        if self.age() < 0:
            return "the clock was set back"
        if tuple(map(str, there)) != self.files or any(map(self._is_older_than, there)):
            return "the configuration was changed"
        if active is not None and signature(active) != self.who:
            return "other guests run"
        return ""

    def _is_older_than(self, file: Path) -> bool:
        try:
            return file.stat().st_mtime >= datetime.fromisoformat(self.at).timestamp()
        except OSError:
            return True


@value
class _Kept:
    """What the file says."""

    version: int
    plan: KeptForecast


class LastOutlook:
    """`<paths.state>/last-plan.json` (mode 0600). Without it nothing is lost but a line of `status`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "last-plan.json"

    def recall(self) -> KeptForecast | None:
        """What was kept; a file that is missing or cannot be understood is as good as none. Blocks."""
        try:
            kept = decoded(_Kept, from_json(read_text(self.path, SMALL)))
            return kept.plan if kept.version == VERSION and _is_sound(kept.plan) else None
        except (OSError, ValueError, TypeError):
            return None

    def keep(self, times: KeptForecast) -> None:
        """Keep it. Blocks. What cannot be kept is not, nor is a folder made for it: a plan touches nothing."""
        with contextlib.suppress(OSError):
            if self.path.parent.is_dir():
                # Nobody misses it after a power cut.
                write_whole(self.path, to_json(_Kept(VERSION, times)), sync=False, mode=READERS)


def signature(keys: Iterable[Key]) -> str:
    """Something that differs where the guests do."""
    names = "\n".join(sorted(f"{uri} {uuid}" for uri, uuid in keys))
    # Nobody forges it, and to load hashlib, with all of OpenSSL, would cost `status` more than to read its files.
    return f"{binascii.crc32(names.encode('utf-8', 'backslashreplace')):08x}"


def _is_sound(times: KeptForecast) -> bool:
    """Whether it can have been kept by us. Raises ValueError."""
    told = times.forecast
    numbers = (told.usual or 0, told.worst, told.guests, told.unknown, told.last_resort or 0, told.deadline or 0)
    return min(numbers) >= 0 and datetime.fromisoformat(times.at).tzinfo is not None
