"""Text from outside, as a terminal, the console or the journal may have it."""

import pytest

from lastcall.formats.visible_text import page, visible

HIDDEN = [
    *map(chr, (*range(0x20), *range(0x7F, 0xA0))),  # C0, DEL and C1, line ends and NEL among them
    *"\u2028\u2029\u200b\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\U000e0041",
    "\ud800",
    "\udcff",
]


@pytest.mark.parametrize("character", HIDDEN, ids=ascii)
def test_what_hides_moves_the_cursor_or_ends_a_line_is_shown(character: str) -> None:
    line = visible(f"a{character}b")
    assert line.isprintable()
    assert line.splitlines() == [line]
    assert line == f"a{ascii(character)[1:-1]}b"
    assert line.encode()


@pytest.mark.parametrize(
    "text", ["db-1", "Übergröße → ✓", "データ　ベース", "می‌خواهم", "👨‍👩‍👧", "C:\\x1b", "1\xa0GiB"]
)
def test_ordinary_text_of_every_script_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_the_line_ends_of_a_page_are_ours_alone() -> None:
    assert page(["db\n✓ web-1  stopped", "mail\r"]) == "db\\n✓ web-1  stopped\nmail\\r"
