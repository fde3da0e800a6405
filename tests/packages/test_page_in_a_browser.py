"""The page of a report in a real browser: it is readable, by keyboard and aloud too, and asks nobody for anything."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from book.pictures import SAMPLE, sample_page
from lastcall.api.results import GuestResult
from lastcall.report.page.html_report import run_stories
from lastcall.report.page.web_page import as_page
from lastcall.report.run_history import PastRun, latest, past_runs

CHROMIUM = "/usr/bin/chromium"
HOSTILE = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title='taken'\">"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM)
        yield started
        started.close()


class Visit:
    """A page that is open, what its console said and whom it asked for something."""

    def __init__(self, browser: Browser, folder: Path, text: str, **options: Any) -> None:
        file = folder / "report.html"
        file.write_text(text)
        self.page: Page = browser.new_page(viewport={"width": 1280, "height": 900}, **options)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())
        self.asked.remove(file.as_uri())

    def rows(self) -> list[str]:
        """The guests of the first timeline that are to be seen."""
        return self.page.locator("#run1-table tbody tr:visible th a").all_inner_texts()

    def is_wider_than_the_window(self) -> bool:
        """Whether one has to scroll sideways."""
        return self.page.evaluate("document.documentElement.scrollWidth > innerWidth")


def changed(change: Callable[[GuestResult], GuestResult]) -> str:
    """The page of the sample with every guest changed."""
    runs = list(past_runs(SAMPLE))
    shown = [
        PastRun(replace(run.report, guests=tuple(map(change, run.report.guests))), run.complete)
        for run in latest(iter(runs))
    ]
    return as_page(list(run_stories(shown, runs)))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_found_by_who_judges_whether_everybody_can_read_it(
    browser: Browser, tmp_path: Path, scheme: str
) -> None:
    visit = Visit(browser, tmp_path, sample_page(), color_scheme=scheme)
    visit.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    found = Axe().run(visit.page)  # pyright: ignore[reportUnknownMemberType]
    assert found.violations_count == 0, found.generate_report()
    assert (visit.said, visit.asked) == ([], [])
    back = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, back.strip("rgb()").split(","))) < 384) == (scheme == "dark")


def test_twelve_guests_fit_in_a_window_of_1280_pixels_also_with_long_names(browser: Browser, tmp_path: Path) -> None:
    visit = Visit(browser, tmp_path, sample_page())
    assert len(visit.rows()) == 12
    assert not visit.is_wider_than_the_window()
    wide = Visit(browser, tmp_path, changed(lambda one: replace(one, name=one.name * 20, message="m" * 2000)))
    wide.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert not wide.is_wider_than_the_window()


def test_a_name_of_markup_is_text_and_nothing_of_it_runs(browser: Browser, tmp_path: Path) -> None:
    visit = Visit(browser, tmp_path, changed(lambda one: replace(one, name=HOSTILE, message=HOSTILE)))
    assert set(visit.rows()) == {HOSTILE}
    assert visit.page.title().startswith("Shutdown of vmhost-1")
    assert (visit.said, visit.asked) == ([], [])


def test_guests_are_found_and_sorted_by_keyboard_alone(browser: Browser, tmp_path: Path) -> None:
    visit = Visit(browser, tmp_path, sample_page())
    keyboard, page = visit.page.keyboard, visit.page
    turns = visit.rows()
    focused = "document.activeElement.labels?.[0]?.innerText ?? document.activeElement.innerText"
    seen: list[str] = []
    while "Find" not in seen:
        keyboard.press("Tab")
        seen.append(page.evaluate(focused).strip())
    assert seen[:2] == ["Problems", "Timeline"]
    keyboard.type("db-")
    assert visit.rows() == ["db-1", "db-2"]
    assert page.locator("output").first.inner_text() == "2 of 13 shown"
    keyboard.press("ControlOrMeta+A")
    keyboard.press("Delete")
    keyboard.press("Tab")
    keyboard.press("Space")
    assert visit.rows() == ["win-files", "db-2"]
    keyboard.press("Space")
    keyboard.press("Tab")
    keyboard.press("Enter")
    assert visit.rows() == sorted(turns)
    assert page.locator("#run1-table thead th").first.get_attribute("aria-sort") == "ascending"
    keyboard.press("Enter")
    assert visit.rows() == sorted(turns, reverse=True)
    keyboard.press("Enter")
    assert visit.rows() == turns


def test_a_guest_of_the_problems_leads_to_all_that_is_told_of_it(browser: Browser, tmp_path: Path) -> None:
    visit = Visit(browser, tmp_path, sample_page())
    visit.page.get_by_role("link", name="win-files").first.press("Enter")
    visit.page.locator("details[open]").wait_for()  # the page hears of the key a moment later
    (told,) = visit.page.locator("details[open]").all()
    assert "it did not go off" in told.inner_text()


def test_without_scripts_everything_is_there_but_the_tools(browser: Browser, tmp_path: Path) -> None:
    visit = Visit(browser, tmp_path, sample_page(), java_script_enabled=False)
    assert len(visit.rows()) == 12
    assert not visit.page.locator("input:visible").count()


def test_five_hundred_guests_can_be_found_in_no_time(browser: Browser, tmp_path: Path) -> None:
    count = iter(range(10_000))

    def another(guest: GuestResult) -> GuestResult:
        number = next(count)
        return replace(guest, name=f"{guest.name}-{number}", uuid=str(number))

    runs = list(past_runs(SAMPLE))
    (shown, *_) = latest(iter(runs))
    many = tuple(another(shown.report.guests[number % 12]) for number in range(500))
    visit = Visit(browser, tmp_path, as_page(list(run_stories([replace_guests(shown, many)], runs))))
    assert len(visit.rows()) == 500
    visit.page.get_by_label("Find").fill("web-1-24")
    took = visit.page.evaluate(
        "() => { const began = performance.now();"
        " document.querySelector('[type=search]').dispatchEvent(new Event('input')); return performance.now() - began }"
    )
    assert visit.rows() == ["web-1-24", "web-1-240"]
    assert took < 500, "milliseconds"


def replace_guests(run: PastRun, guests: tuple[GuestResult, ...]) -> PastRun:
    return PastRun(replace(run.report, guests=guests), run.complete)


def test_it_prints_on_a4_without_what_paper_cannot_do(browser: Browser, tmp_path: Path) -> None:
    visit = Visit(browser, tmp_path, sample_page(), color_scheme="dark")
    visit.page.emulate_media(media="print")
    assert visit.page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert not visit.page.locator("nav:visible, .tools:visible").count()
    visit.page.set_viewport_size({"width": 703, "height": 1000})  # what is left of A4 between its margins
    assert not visit.is_wider_than_the_window()
    assert len(visit.page.pdf(prefer_css_page_size=True)) > 10_000
