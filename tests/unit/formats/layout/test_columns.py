"""Columns on screens of any width, in a pipe, in colour, and with names that mean harm."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall.formats.layout.cells import cell_width
from lastcall.formats.layout.columns import FACT, NAME, NUMBER, REST, SIGN, Cell, blocks, in_columns, paragraph
from lastcall.formats.layout.screen import PLAIN, Screen, Tone

LONG = "production-database-cluster-primary-node-" + "x" * 43 + "-01"  # 87 characters
ROWS = [
    (Cell("✓", Tone.GOOD), "web-1", "3s", "stopped by acpi"),
    (
        Cell("✗", Tone.BAD),
        LONG,
        "12min",
        "forced by destroy: it did not react to acpi within its time, and nobody helped",
    ),
    (Cell("!", Tone.WARNING), "数据库-1", "0.5s", "left running"),
]
COLUMNS = (SIGN, NAME, NUMBER, REST)
CODE = re.compile(r"\x1b\[\d+m")


def shown(width: int | None, *, whole: bool = False, coloured: bool = False) -> list[str]:
    return list(in_columns(ROWS, COLUMNS, Screen(width=width, whole=whole, coloured=coloured)))


@pytest.mark.parametrize("width", [40, 80, 120, 200])
@pytest.mark.parametrize("whole", [False, True])
def test_every_line_fits_the_screen_and_the_columns_stand_in_line(width: int, *, whole: bool) -> None:
    lines = shown(width, whole=whole)
    assert all(cell_width(line) <= max(width, len(LONG) + 2) for line in lines)
    assert whole or all(cell_width(line) <= width for line in lines)
    ends = {
        cell_width(line[: line.index(word)]) for word in ("stopped", "forced", "left") for line in lines if word in line
    }
    assert len(ends) == 1


def test_a_name_is_cut_where_there_is_no_room_and_whole_where_there_is_or_somebody_wants_it() -> None:
    assert not any(LONG in line for line in shown(80))
    assert any("production-d" in line and "xxx-01" in line and "…" in line for line in shown(80))
    for lines in (shown(80, whole=True), shown(None), shown(200)):
        assert any(LONG in line for line in lines)


def test_a_long_name_pushes_nobodys_facts_out_of_sight() -> None:
    short, _ = in_columns([("web-1", "stopped"), (LONG, "stopped")], (NAME, REST), Screen(width=120))
    assert short.index("stopped") <= 62
    assert list(in_columns([(LONG,)], (NAME,), Screen(width=120))) == [LONG], "where nobody else is on the line"


def test_a_message_is_broken_in_its_column_and_whole_in_a_pipe() -> None:
    lines = shown(80)
    assert len(lines) > len(ROWS)
    first = next(line for line in lines if "forced" in line)
    assert lines[lines.index(first) + 1].startswith(" " * cell_width(first[: first.index("forced")]))
    assert len(shown(None)) == len(ROWS)


def test_in_a_pipe_a_long_name_pushes_nobodys_message_out_of_sight() -> None:
    first, _, third = shown(None)
    assert first.index("stopped") < 60
    assert cell_width(third[: third.index("left")]) == first.index("stopped")


def test_colours_change_nothing_but_colours() -> None:
    lines = shown(80, coloured=True)
    assert [CODE.sub("", line) for line in lines] == shown(80)
    assert lines[0].startswith("\x1b[32m✓\x1b[0m web-1")
    assert not any("\x1b" in line for line in shown(80))


def test_a_name_brings_no_code_of_its_own_and_is_cut_as_it_is_shown() -> None:
    evil = "\x1b[31mdb\x1b[0m\n✓ web" * 5
    (line,) = in_columns([(Cell(evil, Tone.ASIDE), "x")], (NAME, REST), Screen(width=40, coloured=True))
    assert CODE.findall(line) == ["\x1b[2m", "\x1b[0m"]
    assert cell_width(CODE.sub("", line)) <= 40


def test_no_line_ends_in_blanks_and_a_row_may_be_short() -> None:
    rows = [("web-1", "running", ""), ("db", "", ""), ("a",), ()]
    assert list(in_columns(rows, (NAME, FACT, REST), PLAIN)) == ["web-1  running", "db", "a", ""]


def test_where_hardly_anything_is_left_a_message_stands_below_its_row() -> None:
    ((first, *below),) = blocks([("x" * 70, "a message that needs some room")], (FACT, REST), Screen(width=80))
    assert first == "x" * 70
    assert below == ["    a message that needs some room"]


def test_a_paragraph_is_set_in_below_its_sign() -> None:
    lines = paragraph("one two three four", Screen(width=12, coloured=True), 2, sign="→", tone=Tone.ASIDE)
    assert lines == ["  \x1b[2m→\x1b[0m one two", "    three", "    four"]


@given(
    st.lists(st.tuples(st.text(), st.text(max_size=5), st.text()), max_size=6), st.integers(40, 200), st.integers(0, 8)
)
def test_whatever_is_shown_fits_the_screen(rows: list[tuple[str, str, str]], width: int, indent: int) -> None:
    lines = list(in_columns(rows, (NAME, FACT, REST), Screen(width=width), indent))
    # Five letters may be fifty, as a lone surrogate or an escape is shown by its number.
    assert all(cell_width(line) <= max(width, indent + 16 + 2 + 50 + 2) for line in lines)
