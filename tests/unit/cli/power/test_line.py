"""What is a word about the power, and what is refused."""

import pytest

from lastcall import PowerWord
from lastcall.cli.power.line import LONGEST, SpokenWord, known_word, spoken_word, supply_name


@pytest.mark.parametrize("word", list(PowerWord))
@pytest.mark.parametrize("supply", ["", "ups", "ups@localhost", "rack-2.left_1@192.0.2.7:3493", "ups@[::1]"])
def test_a_word_goes_through_the_socket_and_is_the_same_word(word: PowerWord, supply: str) -> None:
    spoken = SpokenWord(word, supply)
    assert spoken_word(spoken.line()) == spoken


def test_the_longest_name_that_is_taken_still_fits_into_a_line() -> None:
    longest = max((name for name in ("x" * count for count in range(1, LONGEST)) if is_name(name)), key=len)
    assert all(len(SpokenWord(word, longest).line()) <= LONGEST for word in PowerWord)
    assert len(longest) > 50


def is_name(text: str) -> bool:
    try:
        return supply_name(text) == text
    except ValueError:
        return False


@pytest.mark.parametrize(
    "line",
    [
        b"", b"\n", b"line", b"LINE\n", b" line\n", b"line \n", b"line  ups\n", b"off\n", b"line\nline\n",
        b"battery\nlow\n", b"line\r\n", b"line\0\n", b"line\x1b[2J\n", b"line \xff\n", b"low \xe2\x80\xae\n",
        b"line a b\n", b"line ;reboot\n", b"line ../../x\n", b"line -x\n", b"line " + b"x" * 70 + b"\n", b"x" * 100,
        b"line\n ", b"line\ttab\n", b"shed\n", b"watch\n", b"answer\n",
    ],
)  # fmt: skip
def test_whatever_else_comes_through_the_socket_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"^[A-Za-z].*") as caught:
        spoken_word(line)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize("text", ["of", "", "Line", "on-line", "batery", "l\x1bow"])
def test_a_word_that_nobody_knows_is_told_the_three_that_there_are(text: str) -> None:
    with pytest.raises(ValueError, match="line, battery or low"):
        known_word(text)
