"""What was before, kept for the next message: what the last shutdown came to, and the errors of the last check."""

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from lastcall import LastcallError, Report, TextFile, from_json

_FILE = "shutdown.json"
_CHECKED = "checked.json"
_MOST = 200  # errors; the others are told again
_LONGEST = 500  # characters of one
_FIGURES = re.compile(r"[0-9]+(?:\.[0-9]+)?")


class Earlier:
    """`shutdown.json`, in the plugin's folder. Where the disk refuses, nothing is kept."""

    def __init__(self, folder: Path) -> None:
        self._file = TextFile(folder / _FILE)

    def begun(self, facts: Mapping[str, str]) -> None:
        """A shutdown has begun; where nothing else follows, it did not come to its end."""
        self._write({"text": f"The shutdown of {facts['time']} ({facts['reason']}) did not come to its end."})

    def ended(self, facts: Mapping[str, str]) -> None:
        """It came to its end."""
        text = f"The shutdown of {facts['time']} ({facts['reason']}) took {facts['duration']}: {facts['outcomes']}."
        self._write({"text": "\n".join(filter(None, [text, facts["forced"]]))})

    def text(self) -> str:
        """What to tell of it; nothing where that was told."""
        return str(self._read().get("text", ""))

    def is_news(self, report: Report) -> bool:
        """Whether a restore has something to tell that was not told before: a shutdown, or what became of guests.

        The unit tries again every minute as long as a guest waits for a disk, and whenever a daemon is started.
        """
        return bool(self.text()) or (bool(report.guests) and self._read().get("told") != _digest(report))

    def told(self, report: Report) -> None:
        """It was told."""
        self._write({"told": _digest(report)})

    def _read(self) -> Mapping[str, Any]:
        found: Any = None
        try:
            found = from_json(self._file.read() or "{}")
        except (ValueError, LastcallError):
            return {}
        return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}

    def _write(self, kept: Mapping[str, object]) -> None:
        with contextlib.suppress(LastcallError):  # without it the next message lacks a sentence, and no guest anything
            self._file.write(json.dumps(kept))


class LastErrors:
    """`checked.json`: the errors of which somebody was told last, in words."""

    def __init__(self, folder: Path) -> None:
        self._file = TextFile(folder / _CHECKED)

    def differ(self, errors: Sequence[str]) -> tuple[list[str], list[str]]:
        """Those that are new, and those that are over. What differs in a figure alone, such as an age, is the same."""
        before = self._read()
        known, there = {*map(_without_figures, before)}, {*map(_without_figures, errors)}
        new = [one for one in errors if _without_figures(one) not in known]
        return new, [one for one in before if _without_figures(one) not in there]

    def told(self, errors: Sequence[str]) -> None:
        """They were told. Raises LastcallError where the disk refuses."""
        self._file.write(json.dumps([one[:_LONGEST] for one in errors[:_MOST]]))

    def _read(self) -> list[str]:
        try:
            found: Any = from_json(self._file.read() or "[]")
        except (ValueError, LastcallError):
            return []
        told = cast("list[Any]", found) if isinstance(found, list) else []
        return [one for one in told if isinstance(one, str)]


def _without_figures(error: str) -> str:
    return _FIGURES.sub("#", error[:_LONGEST])


def _digest(report: Report) -> list[list[str]]:
    return sorted([one.uri, one.uuid, one.outcome.value] for one in report.guests)
