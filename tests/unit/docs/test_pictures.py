"""The pictures of the documentation show what the code makes today."""

from pathlib import Path

from book.assembly import gather
from book.pictures import PICTURES, WORDS, sample_page, words_of


def test_the_pictures_show_the_page_that_the_code_makes() -> None:
    told = words_of(sample_page())
    assert told.splitlines()[:-1] == WORDS.read_text().splitlines()[:-1], "`make pictures` takes them anew"
    assert told == WORDS.read_text(), "`make pictures` takes them anew: the page says the same, and looks otherwise"
    assert "win-files" in told


def test_they_are_small_enough_to_be_kept_and_are_on_the_site_where_its_pages_look_for_them(tmp_path: Path) -> None:
    assert {path.name for path in PICTURES.glob("*.png")} == {"report-light.png", "report-dark.png"}
    assert all(path.stat().st_size < 250_000 for path in PICTURES.glob("*.png"))
    gather(tmp_path, {})
    assert "](pictures/report-light.png)" in (tmp_path / "index.md").read_text()
    assert "](pictures/report-dark.png)" in (tmp_path / "commands.md").read_text()
    assert {path.name for path in tmp_path.glob("pictures/*")} == {"report-light.png", "report-dark.png"}
