"""The pictures of the documentation show what the code makes today."""

import re
from pathlib import Path

import pytest

from book.assembly import gather
from book.captures.drawing import drawn, plain, sum_of, words_of
from book.pictures import COCKPIT_WORDS, PICTURES, WORDS, cockpit_sum, sample_page, terminals
from book.pictures import words_of as words_of_page


def test_the_pictures_show_the_page_that_the_code_makes() -> None:
    told = words_of_page(sample_page())
    assert told.splitlines()[:-1] == WORDS.read_text().splitlines()[:-1], "`make pictures` takes them anew"
    assert told == WORDS.read_text(), "`make pictures` takes them anew: the page says the same, and looks otherwise"
    assert "win-files" in told


def test_the_picture_of_cockpit_shows_the_page_that_is_there() -> None:
    """Its words are compared where there is a browser: tests/packages/test_page_in_cockpit.py."""
    assert COCKPIT_WORDS.read_text().endswith(cockpit_sum()), "`make pictures` takes it anew"


def test_the_drawings_of_terminals_show_what_the_program_shows_there() -> None:
    found = list(terminals())
    for name, typed, seen, _ in found:
        drawing = (PICTURES / name).read_text()
        shown = "\n".join(line.rstrip() for line in plain(seen).rstrip("\n").split("\n"))
        assert words_of(drawing) == shown, "`make pictures` takes it anew"
        assert drawing.endswith(f"<!-- {sum_of(seen)} -->\n"), "`make pictures` takes it anew: its colours are others"
        assert shown.startswith(f"$ {typed}\n")
    assert [name for name, *_ in found] == sorted(path.name for path in PICTURES.glob("*.svg"))


def test_a_drawing_fetches_nothing_and_runs_nothing() -> None:
    for path in PICTURES.glob("*.svg"):
        drawing = path.read_text()
        named = {*re.findall(r"\w+://[^\"\s]+", drawing)}
        assert named == {"http://www.w3.org/2000/svg"}, "a name, which nobody asks"
        assert not re.search(r"<script|<image|<use|<foreignObject|href|@import|@font-face|url\((?!#)| on\w+=", drawing)


def test_of_a_drawing_nothing_is_cut_off() -> None:
    assert words_of(drawn("\033[1ma\033[0m  \033[31mb\033[0m", "two", 4)) == "a  b"
    with pytest.raises(ValueError, match="cut off"):
        drawn("12345\n数据", "five", 4)
    with pytest.raises(ValueError, match="cut off"):
        drawn("数据库", "six", 5)


def test_they_are_small_enough_to_be_kept_and_are_on_the_site_where_its_pages_look_for_them(tmp_path: Path) -> None:
    names = {"report-light.png", "report-dark.png", "cockpit.png", "live-view.svg", "plan.svg"}
    assert {path.name for path in PICTURES.iterdir() if path.suffix != ".txt"} == names
    assert all(path.stat().st_size < 250_000 for path in PICTURES.iterdir())
    gather(tmp_path, {})
    for name in ("live-view.svg", "plan.svg", "report-light.png", "cockpit.png"):
        assert f"](pictures/{name})" in (tmp_path / "index.md").read_text()
    assert "](pictures/plan.svg)" in (tmp_path / "ordering.md").read_text()
    assert "](pictures/live-view.svg)" in (tmp_path / "commands.md").read_text()
    assert "](pictures/report-dark.png)" in (tmp_path / "commands.md").read_text()
    assert "](pictures/cockpit.png)" in (tmp_path / "cockpit.md").read_text()
    assert {path.name for path in tmp_path.glob("pictures/*")} == names
