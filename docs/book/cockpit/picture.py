"""The picture of the page in Cockpit, and the words that it shows."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from book.cockpit.sample_host import sample_host
from book.cockpit.served import served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_SYSTEM = "/usr/bin:/bin"
WIDTH = 1280


def words_shown(page: "Page") -> str:
    """What the page says, a line for each text of it."""
    told = page.locator("main").inner_text()
    lines = [" ".join(line.split()) for line in told.splitlines()]
    return "".join(f"{line}\n" for line in lines if line)


def take_picture(browser: "Browser", runs: Path, picture: Path) -> str:
    """Take it of a host with these runs; returns the words."""
    with tempfile.TemporaryDirectory() as folder:
        programs = sample_host(Path(folder) / "host", runs)
        with served(Path(folder), path=f"{programs}:{_SYSTEM}") as url:
            context = browser.new_context(viewport={"width": WIDTH, "height": 900}, timezone_id="UTC")
            page = context.new_page()
            page.goto(url)
            page.wait_for_selector("main[aria-busy=false]")
            page.screenshot(path=picture, full_page=True)
            words = words_shown(page)
            context.close()
    return words
