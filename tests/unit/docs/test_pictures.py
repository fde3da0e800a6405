"""The pictures of the documentation show what the code makes today."""

from pathlib import Path

from book.assembly import gather
from book.pictures import COCKPIT_WORDS, PICTURES, WORDS, cockpit_sum, sample_page, words_of


def test_the_pictures_show_the_page_that_the_code_makes() -> None:
    told = words_of(sample_page())
    assert told.splitlines()[:-1] == WORDS.read_text().splitlines()[:-1], "`make pictures` takes them anew"
    assert told == WORDS.read_text(), "`make pictures` takes them anew: the page says the same, and looks otherwise"
    assert "win-files" in told


def test_the_picture_of_cockpit_shows_the_page_that_is_there() -> None:
    """Its words are compared where there is a browser: tests/packages/test_page_in_cockpit.py."""
    assert COCKPIT_WORDS.read_text().endswith(cockpit_sum()), "`make pictures` takes it anew"


def test_they_are_small_enough_to_be_kept_and_are_on_the_site_where_its_pages_look_for_them(tmp_path: Path) -> None:
    names = {"report-light.png", "report-dark.png", "cockpit.png"}
    assert {path.name for path in PICTURES.glob("*.png")} == names
    assert all(path.stat().st_size < 250_000 for path in PICTURES.glob("*.png"))
    gather(tmp_path, {})
    assert "](pictures/report-light.png)" in (tmp_path / "index.md").read_text()
    assert "](pictures/report-dark.png)" in (tmp_path / "commands.md").read_text()
    assert "](pictures/cockpit.png)" in (tmp_path / "cockpit.md").read_text()
    assert {path.name for path in tmp_path.glob("pictures/*")} == names
