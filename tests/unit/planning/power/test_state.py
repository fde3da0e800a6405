"""What was said of supplies, and what it comes to for the host."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall.api.power import PowerPolicy, PowerWord, Supply
from lastcall.persistence.power.board import SaidWord
from lastcall.planning.power.state import with_answers, word_of

LINE, BATTERY, LOW = (word.value for word in PowerWord)


@pytest.mark.parametrize(
    ("said", "supplies", "word", "since"),
    [
        ({}, 1, "line", 0),
        ({"": SaidWord(BATTERY, 5)}, 1, "battery", 5),
        ({"a": SaidWord(LINE, 1), "b": SaidWord(BATTERY, 5)}, 1, "line", 1),
        ({"a": SaidWord(LINE, 1), "b": SaidWord(BATTERY, 5)}, 2, "battery", 5),
        ({"a": SaidWord(BATTERY, 7), "b": SaidWord(BATTERY, 5)}, 1, "battery", 7),
        ({"a": SaidWord(BATTERY, 7), "b": SaidWord(BATTERY, 5)}, 2, "battery", 5),
        ({"a": SaidWord(LOW, 7), "b": SaidWord(BATTERY, 5)}, 1, "battery", 7),
        ({"a": SaidWord(LOW, 7), "b": SaidWord(BATTERY, 5)}, 2, "low", 5),
        ({"a": SaidWord(LOW, 7), "b": SaidWord(LOW, 5)}, 1, "low", 7),
        ({"a": SaidWord(LINE, 7), "b": SaidWord(LOW, 5)}, 1, "line", 7),
        ({"a": SaidWord(BATTERY, 7)}, 2, "battery", 7),
        ({"a": SaidWord(LINE, 7)}, 3, "line", 7),
        ({"a": SaidWord(BATTERY, 3), "": SaidWord(LINE, 5)}, 1, "line", 5),
        ({"a": SaidWord(LINE, 3), "": SaidWord(BATTERY, 5)}, 1, "battery", 5),
        ({"": SaidWord(LINE, 3), "a": SaidWord(BATTERY, 5)}, 1, "battery", 5),
    ],
)
def test_a_battery_carries_the_host_from_the_moment_on_at_which_too_few_supplies_are_on_line(
    said: dict[str, SaidWord], supplies: int, word: str, since: float
) -> None:
    assert word_of(said, PowerPolicy(supplies=supplies)) == (word, since)


WORDS = st.builds(SaidWord, st.sampled_from([LINE, BATTERY, LOW]), st.integers(0, 50).map(float))
NAMED = st.dictionaries(st.sampled_from("abcdef"), WORDS, min_size=1)


@given(NAMED, st.integers(1, 7))
def test_the_word_for_the_host_follows_from_how_many_are_on_line_and_how_many_are_not_low(
    said: dict[str, SaidWord], supplies: int
) -> None:
    words = [one.word for one in said.values()]
    needed = min(supplies, len(words))
    expected = LINE if words.count(LINE) >= needed else LOW if len(words) - words.count(LOW) < needed else BATTERY
    word, since = word_of(said, PowerPolicy(supplies=supplies))
    assert word == expected
    assert since in {one.since for one in said.values()}
    if word != LINE:
        # At that moment too few were left on line, and a moment before there were enough.
        gone = [one.since for one in said.values() if one.word != LINE]
        assert len(words) - sum(at <= since for at in gone) < needed <= len(words) - sum(at < since for at in gone)


def test_a_supply_that_nobody_speaks_of_counts_where_it_answers_that_it_is_on_line() -> None:
    said = {"a": SaidWord(BATTERY, 5)}
    answers = [Supply(name="a", word=PowerWord.LINE), Supply(name="b", word=PowerWord.LINE)]
    assert word_of(with_answers(said, answers), PowerPolicy()) == ("line", 0)
    assert word_of(with_answers(said, answers[:1]), PowerPolicy()) == ("battery", 5), "what was said counts more"
    silent = [Supply(name="b", problem="no answer"), Supply(name="c", word=PowerWord.BATTERY)]
    assert with_answers(said, silent) == said
    assert with_answers({"": SaidWord(BATTERY, 5)}, answers) == {"": SaidWord(BATTERY, 5)}
