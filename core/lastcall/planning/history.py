"""How long guests took to go off in earlier runs: what `plan` expects of the next one."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lastcall.api.guests import Key, Outcome
from lastcall.api.results import GuestResult
from lastcall.formats.decoding import from_json
from lastcall.formats.json_text import to_json
from lastcall.formats.reading import read_text
from lastcall.persistence.files import write_whole

VERSION = 1
LARGEST = 16 << 20  # bytes; a guest takes some 200
KEEP = 10  # times per guest
FORGET = timedelta(days=400)  # after which a guest that was not seen is forgotten
# The time of a guest that was forced off is that of its ladder, not its own.
_CLEAN = frozenset({Outcome.STOPPED, Outcome.SAVED})


class History:
    """`<paths.state>/history.json` (mode 0600). Without it nothing is lost but the estimates."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "history.json"
        self._times: dict[str, list[float]] = {}
        self._seen: dict[str, str] = {}

    def load(self) -> None:
        """Read the file; one that is missing or cannot be understood is as good as none."""
        try:
            content: Any = from_json(read_text(self.path, LARGEST))
            guests: dict[str, Any] = content["guests"] if content["version"] == VERSION else {}
            self._times = {key: list(map(_time, one["times"])) for key, one in guests.items()}
            self._seen = {key: str(one["seen"]) for key, one in guests.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self._times, self._seen = {}, {}

    def usual(self, key: Key) -> float | None:
        """The median of the times a guest took from its turn until it was off, in seconds; None = not known."""
        # The median, as one stop that hung would lengthen a mean for the next ten runs.
        times = self._times.get(_name(key))
        if not times:
            return None
        import statistics  # here: runs write times, only plans ask for them

        return statistics.median(times)

    def learn(self, results: Iterable[GuestResult]) -> None:
        """Add the guests of a run that went off by themselves or were saved."""
        now = datetime.now(UTC)
        for result in results:
            if result.outcome in _CLEAN and result.method:
                name = _name((result.uri, result.uuid))
                self._times[name] = [*self._times.get(name, ()), round(result.duration, 2)][-KEEP:]
                self._seen[name] = now.isoformat(timespec="seconds")
        oldest = (now - FORGET).isoformat(timespec="seconds")
        for name in [name for name, seen in self._seen.items() if seen < oldest]:
            del self._times[name], self._seen[name]

    def render(self) -> str:
        """The file's content."""
        guests = {name: {"seen": self._seen[name], "times": times} for name, times in self._times.items()}
        return to_json({"version": VERSION, "guests": guests})

    def write(self, content: str) -> None:
        """Write the file. Blocks; raises OSError."""
        # Only estimates: nobody misses them after a power cut, and a sync costs the host's last seconds.
        write_whole(self.path, content, sync=False)


def _time(given: object) -> float:
    if not isinstance(given, int | float) or given < 0:
        raise ValueError("no time that a guest took")
    return float(given)


def _name(key: Key) -> str:
    return f"{key[0]} {key[1]}"
