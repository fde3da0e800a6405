"""The page that a browser shows of a report: one file that asks nobody for anything."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lastcall.formats.bounded_text import bounded
from lastcall.formats.quantities import format_duration
from lastcall.formats.reading import read_text
from lastcall.formats.visible_text import visible
from lastcall.report.page.html_report import RunStory
from lastcall.report.page.timeline import track_words, waiting_words
from lastcall.report.text import planned_times

HERE = Path(__file__).parent
ROOM = 500_000  # characters of all messages together; of 500 guests each may have several of 4 KiB
SHORTEST = 60
_LARGEST = 1 << 16  # bytes of a file of ours


def as_page(stories: Sequence[RunStory]) -> str:
    """The page of these runs, whose texts from outside are text in it, and nothing else."""
    # Here: nothing else needs Jinja2, whose import takes longer than most commands.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    def shown(told: Any) -> Any:
        """Every text passes this door on its way into the page; what jumps, hides or ends a line is made visible."""
        return visible(told) if isinstance(told, str) and not hasattr(told, "__html__") else told

    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        finalize=shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": _duration, "cut": _cutter(stories)}
    style, script = (read_text(HERE / name, _LARGEST) for name in ("page.css", "page.js"))
    return environment.get_template("page.html.j2").render(
        stories=stories,
        track_words=track_words,
        waiting_words=waiting_words,
        planned_times=planned_times,
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


def _duration(seconds: float) -> str:
    return format_duration(round(seconds, 1) if seconds < 120 else round(seconds))


def _cutter(stories: Sequence[RunStory]) -> Callable[[str], str]:
    """What cuts messages where all of them together would make a page that nobody can open."""
    texts = [text for story in stories for text in _messages(story)]
    if sum(map(len, texts)) <= ROOM:
        return lambda text: text
    limit = max(SHORTEST, ROOM // len(texts))
    return lambda text: bounded(text, limit)


def _messages(story: RunStory) -> list[str]:
    told = [one.result.message for one in story.guests]
    for fault in story.faults:
        told += [fault.name, fault.title, fault.message, fault.remedy, fault.trace, *fault.lines]
    for step in (step for one in story.guests for step in one.steps):
        told += [step.what, step.said, step.trace]
    return [text for text in told if text]


def _hash(text: str) -> str:
    """What the page's policy allows: this very text, and no other."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
