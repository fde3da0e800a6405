"""Cells of a terminal: what wcwidth says, which terminals follow, of everything that is shown as it is."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth, wcwidth

from lastcall.formats.layout.cells import cell_width, cut_middle, signs, wrapped
from lastcall.formats.visible_text import visible

FAMILY = "👩\u200d👩\u200d👧\u200d👦"
WIDE_SINCE_UNICODE_16 = {"MONOGRAM", "DIGRAM", "TRIGRAM", "TETRAGRAM", "HEXAGRAM", "COUNTING", "IDEOGRAPHIC", "FILLER"}
FILLERS = "\u115f\u3164\uffa0"
TEXTS = st.text(alphabet=st.one_of(st.characters(), st.sampled_from(f"a数é\u0301👍🏽{FAMILY} -"))).map(visible)


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("db-1", 4), ("数据库", 6), ("e\u0301te\u0301", 3), ("👍🏽", 2), (FAMILY, 2), ("🇩🇪🇫🇷", 4), ("❤\ufe0f", 2),
        ("1\ufe0f\u20e3", 2), ("ﾃﾞｰﾀ", 4), ("한", 2), ("\u1112\u1161\u11ab", 2), ("…→✓", 3), ("", 0),
    ],
)  # fmt: skip
def test_a_text_takes_as_many_cells_as_terminals_give_it(text: str, width: int) -> None:
    assert cell_width(text) == width == wcswidth(text)


def test_every_letter_that_is_shown_takes_what_wcwidth_says() -> None:
    """But for vowels of India, which differ from terminal to terminal, and what Unicode 16 has made wide."""
    shown = (chr(one) for one in range(0x20, sys.maxunicode) if chr(one).isprintable())
    odd = [one for one in shown if unicodedata.category(one) != "Mc" and cell_width(one) != wcwidth(one)]
    assert {unicodedata.name(one).split()[-1 if one in FILLERS else 0] for one in odd} <= WIDE_SINCE_UNICODE_16


@given(TEXTS, st.integers(1, 60))
def test_a_name_is_cut_in_its_middle_and_never_too_long(name: str, width: int) -> None:
    cut = cut_middle(name, width)
    assert cell_width(cut) <= width
    if cell_width(name) <= width:
        assert cut == name
        return
    head, tail = cut.rsplit("…", 1) if cut.count("…") > name.count("…") else ("", "")
    assert name.startswith(head)
    assert name.endswith(tail)


def test_of_a_name_the_beginning_and_the_end_are_kept() -> None:
    assert cut_middle("production-database-primary-01", 12) == "produc…ry-01"
    assert cut_middle("数据库服务器一号", 8) == "数据…号"
    assert cut_middle(f"{FAMILY}{FAMILY}{FAMILY}{FAMILY}", 5) == f"{FAMILY}…{FAMILY}"


@given(TEXTS, st.integers(2, 60))
def test_a_text_is_broken_into_lines_that_fit_and_nothing_of_it_is_lost(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert all(cell_width(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_a_text_is_broken_at_blanks() -> None:
    assert wrapped("the deadline is over", 12) == ["the deadline", "is over"]
    assert wrapped("see /var/lib/lastcall/runs", 10) == ["see", "/var/lib/l", "astcall/ru", "ns"]


@given(TEXTS)
def test_signs_are_the_whole_text(text: str) -> None:
    assert "".join(sign for sign, _ in signs(text)) == text
