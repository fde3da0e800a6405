"""The pictures of the documentation, made from the code: `python -m book.pictures --write`, as `make pictures` does.

Pictures of two machines are never the same, byte for byte. So the words that they show stand beside them, with a sum of
the whole page, which a test holds against what the code makes today. A drawing of a terminal has both in itself.
"""

import hashlib
import os
import re
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Literal

from book.captures import live_scene, plan_scene
from book.captures.drawing import drawn
from book.cockpit.picture import take_picture
from book.cockpit.served import PAGE as COCKPIT
from lastcall.report.page.html_report import run_stories
from lastcall.report.page.web_page import as_page
from lastcall.report.run_history import latest, past_runs

SAMPLE = Path(__file__).parent / "sample_runs"
PICTURES = Path(__file__).parents[1] / "pictures"
WORDS = PICTURES / "report.txt"
COCKPIT_WORDS = PICTURES / "cockpit.txt"
_SCHEMES: Sequence[Literal["light", "dark"]] = ("light", "dark")
WIDTH, HEIGHT = 1280, 1330
"""Of a picture in pixels: problems and timeline of the sample's shutdown."""


def terminals() -> Iterator[tuple[str, str, str, int]]:
    """What is drawn of terminals: the drawing's name, what was typed, what is seen with its colours, and how wide."""
    yield "live-view.svg", live_scene.COMMAND, live_scene.live_view(), live_scene.WIDTH
    yield "plan.svg", plan_scene.COMMAND, plan_scene.plan(SAMPLE), plan_scene.WIDTH


def sample_page() -> str:
    """The page of the sample's last shutdown and the restore after it, on a host whose clock shows UTC."""
    with _utc():
        runs = list(past_runs(SAMPLE))
        return as_page(list(run_stories(latest(iter(runs)), runs)))


def cockpit_sum() -> str:
    """The sum of what makes the page in Cockpit, its last line beside the picture."""
    parts = b"".join(path.read_bytes() for path in sorted(COCKPIT.iterdir()))
    return f"sha256 of the page: {hashlib.sha256(parts).hexdigest()}\n"


def words_of(page: str) -> str:
    """What a page says, a line for each text of it, and its sum."""
    reader = _Reader()
    reader.feed(page)
    return "\n".join([*reader.lines, f"sha256 of the page: {hashlib.sha256(page.encode()).hexdigest()}", ""])


class _Reader(HTMLParser):
    """Collects texts, of which those of style and script are none."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._within = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._within = tag
        self.lines += [told for name, told in attrs if name == "aria-label" and told]

    def handle_data(self, data: str) -> None:
        if data.strip() and self._within not in {"style", "script"}:
            self.lines.append(re.sub(r"\s+", " ", data.strip()))


@contextmanager
def _utc() -> Generator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    time.tzset()
    try:
        yield
    finally:
        os.environ.pop("TZ")
        if before is not None:
            os.environ["TZ"] = before
        time.tzset()


def _write() -> None:
    from playwright.sync_api import sync_playwright

    page = sample_page()
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "report.html"
        file.write_text(page)
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium")
        shown = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        shown.goto(file.as_uri())
        for scheme in _SCHEMES:
            shown.emulate_media(color_scheme=scheme)
            shown.screenshot(path=PICTURES / f"report-{scheme}.png")
        words = take_picture(browser, SAMPLE, PICTURES / "cockpit.png")
        browser.close()
    COCKPIT_WORDS.write_text(words + cockpit_sum())
    WORDS.write_text(words_of(page))
    for name, typed, seen, width in terminals():
        (PICTURES / name).write_text(drawn(seen, typed, width))


if __name__ == "__main__":
    if "--write" in sys.argv:
        _write()
    else:
        print(words_of(sample_page()), end="")
