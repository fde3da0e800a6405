"""How long guests and hooks took in earlier runs: what `plan` expects of the next one."""

from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lastcall.api.guests import Ended, Key, Outcome
from lastcall.api.results import GuestResult, HookRecord, Verdict
from lastcall.formats.decoding import from_json
from lastcall.formats.json_text import to_json
from lastcall.formats.reading import read_text
from lastcall.formats.values import changing, value
from lastcall.persistence.files import READERS, write_whole

VERSION = 2
LARGEST = 16 << 20  # bytes; a guest takes some 300, and 100 for each plugin that has to do with it
KEEP = 10  # times per guest, and per hook call of it
MOST_CALLS = 64  # hook calls per guest, and of the run: plugins come and go, and one that is gone is not told of
FORGET = timedelta(days=400)  # after which a guest that was not seen is forgotten
# The time of a guest that was forced off is that of its ladder, not its own.
_CLEAN = frozenset({Outcome.STOPPED, Outcome.SAVED, Outcome.MOVED})
_WATCHED, _BY_ITSELF = "watched", frozenset({Ended.SHUTDOWN, Ended.SAVED})
_WENT_WELL = frozenset({Verdict.OK, Verdict.SKIPPED})  # what fails or overruns says how long it may take, not does
_BEFORE = "on_guest_stop"  # the hook whose calls are a part of the time between a guest's turn and its end


@value
class Usual:
    """What earlier runs tell of a time: the median of so many of them, and the longest; seconds."""

    seconds: float
    longest: float
    runs: int


@changing
class _Past:
    """What is known of a guest, or of the run itself: times by stop method, and those of hook calls."""

    seen: str = ""
    times: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])
    calls: dict[str, list[float]] = field(default_factory=dict[str, list[float]])


class History:
    """`<paths.state>/history.json` (mode 0600, or 0640 for readers). Without it nothing is lost but the estimates."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "history.json"
        self._run = _Past()
        self._guests: dict[str, _Past] = {}

    def load(self) -> None:
        """Read the file; one that is missing or cannot be understood is as good as none."""
        self._run, self._guests = _Past(), {}
        try:
            content: Any = from_json(read_text(self.path, LARGEST))
            if content["version"] == VERSION:
                guests = {str(name): _past(told) for name, told in content["guests"].items()}
                self._run, self._guests = _past(content["run"]), guests
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass

    def usual(self, key: Key, method: str | None = None) -> Usual | None:
        """How long a guest takes from when its hooks `on_guest_stop` are through until it is off; None = not known.

        `method`: only where that took it off.
        """
        past = self._guests.get(_name(key))
        return _usual([seconds for way, seconds in past.times if method in {None, way}]) if past else None

    def usual_of(self, keys: Iterable[Key], method: str | None = None) -> dict[Key, Usual]:
        """The same of all of these guests that are known."""
        found = {key: self.usual(key, method) for key in keys}
        return {key: usual for key, usual in found.items() if usual is not None}

    def usual_call(self, hook: str, plugin: str, key: Key | None = None) -> Usual | None:
        """How long a plugin's call of a hook takes, for a guest or (None) for the run; None = not known."""
        past = self._run if key is None else self._guests.get(_name(key))
        return _usual(past.calls.get(_call_name(hook, plugin), ())) if past else None

    def learn(self, results: Iterable[GuestResult], calls: Iterable[HookRecord] = ()) -> None:
        """Add the guests of a run that went off by themselves or were saved, and the hook calls that went well.

        `calls`: those of the run itself.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._run.seen = now
        _learn_calls(self._run, calls)
        for result in results:
            if _way_of(result) or any(map(_tells, result.hooks)):
                _learn_guest(self._guests.setdefault(_name((result.uri, result.uuid)), _Past()), result)
                self._guests[_name((result.uri, result.uuid))].seen = now
        oldest = (datetime.now(UTC) - FORGET).isoformat(timespec="seconds")
        self._guests = {name: past for name, past in self._guests.items() if past.seen >= oldest}

    def render(self) -> str:
        """The file's content."""
        guests = {name: _told(past) for name, past in self._guests.items()}
        return to_json({"version": VERSION, "run": _told(self._run), "guests": guests})

    def write(self, content: str) -> None:
        """Write the file. Blocks; raises OSError."""
        # Only estimates: nobody misses them after a power cut, and a sync costs the host's last seconds.
        write_whole(self.path, content, sync=False, mode=READERS)


def _learn_guest(past: _Past, result: GuestResult) -> None:
    _learn_calls(past, result.hooks)
    way = _way_of(result)
    if way:
        # Without its hooks, which are counted by themselves: one that was quick, failed or came since makes no other
        # guest of it.
        hooks = sum(hook.duration for hook in result.hooks if hook.hook == _BEFORE)
        own = round(max(0.0, result.duration - hooks), 2)
        past.times = [*past.times, (way, own)][-KEEP:]


def _way_of(result: GuestResult) -> str:
    """How it went off by itself; nothing where it did not. One that was only watched took as long as it was waited
    for."""
    if result.outcome is Outcome.SKIPPED:
        return _WATCHED if result.ended in _BY_ITSELF else ""
    return (result.method or "") if result.outcome in _CLEAN else ""


def _learn_calls(past: _Past, calls: Iterable[HookRecord]) -> None:
    for call in filter(_tells, calls):
        name = _call_name(call.hook, call.plugin)
        past.calls[name] = [*past.calls.pop(name, ()), round(call.duration, 2)][-KEEP:]  # to the end of the dictionary
    for name in list(past.calls)[:-MOST_CALLS]:
        del past.calls[name]


def _tells(call: HookRecord) -> bool:
    """Whether a call says how long such a one takes: one that was not made as it is for other runs says nothing."""
    return call.called and call.result in _WENT_WELL


def _usual(times: Iterable[float]) -> Usual | None:
    # The median, as one stop that hung would lengthen a mean for the next ten runs.
    found = list(times)
    if not found:
        return None
    # By hand, as `statistics` and what it loads are 1 % of a start.
    found.sort()
    middle = (found[(len(found) - 1) // 2] + found[len(found) // 2]) / 2
    return Usual(middle, found[-1], len(found))


def _past(told: Any) -> _Past:
    """What a file says; raises for whatever we would not have written."""
    times = [(str(method), _time(seconds)) for method, seconds in told["times"]]
    calls = {str(name): list(map(_time, given)) for name, given in told["calls"].items()}
    return _Past(str(told["seen"]), times, calls)


def _told(past: _Past) -> Mapping[str, Any]:
    return {"seen": past.seen, "times": past.times, "calls": past.calls}


def _time(given: object) -> float:
    if not isinstance(given, int | float) or given < 0:
        raise ValueError("no time that a guest or a hook took")
    return float(given)


def _name(key: Key) -> str:
    return f"{key[0]} {key[1]}"


def _call_name(hook: str, plugin: str) -> str:
    return f"{hook} {plugin}"
