"""The order of names: as people count, the same whatever order they come in, and for any text."""

import random

from hypothesis import given
from hypothesis import strategies as st

from lastcall.formats.layout.natural import natural_key


def test_a_number_counts_by_what_it_is_worth() -> None:
    names = ["db-1", "db-2", "db-12", "db-100", "web-1", "web-1-b", "web-02", "web-10"]
    shuffled = random.Random(1).sample(names, len(names))
    assert sorted(shuffled, key=natural_key) == names


def test_case_does_not_part_names_that_belong_together() -> None:
    assert sorted(["web-1", "DB-2", "db-10", "Db-1"], key=natural_key) == ["Db-1", "DB-2", "db-10", "web-1"]


def test_names_that_differ_in_zeros_or_case_alone_have_one_order() -> None:
    names = ["a01", "a1", "A1", "a001"]
    assert all(
        sorted(names, key=natural_key) == sorted(order, key=natural_key)
        for order in (names[::-1], names[2:] + names[:2])
    )


def test_a_number_of_any_length_is_compared() -> None:
    assert natural_key("vm" + "9" * 9999) < natural_key("vm1" + "0" * 9999)


@given(st.lists(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("0129²٣-")))))
def test_any_texts_have_one_order(names: list[str]) -> None:
    assert sorted(names, key=natural_key) == sorted(sorted(names), key=natural_key)
    assert sorted(sorted(names, key=natural_key), reverse=True, key=natural_key) == sorted(
        names, reverse=True, key=natural_key
    )
