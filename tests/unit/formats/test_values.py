"""Values that are made cheaply behave as frozen dataclasses do, as far as anybody looks."""

import copy
import dataclasses
import inspect
import json
import pickle
from dataclasses import FrozenInstanceError, field
from typing import Generic, TypeVar

import pytest

from lastcall.formats.json_text import to_json
from lastcall.formats.values import changing, value

T = TypeVar("T")


@value
class Point:
    x: int
    y: int = 0


@value(kw_only=True)
class Named:
    name: str
    at: Point


@value(frozen=True, kw_only=True)
class Kept:
    name: str
    note: str = field(default="", compare=False)


@value(frozen=True, kw_only=True)
class Listed(Kept):
    words: list[str] = field(default_factory=list[str])


@dataclasses.dataclass(frozen=True)
class Theirs(Kept):
    more: int = 0


@value(frozen=True)
class Holding(Generic[T]):
    what: T


@changing
class Counted:
    number: int = 0
    words: list[str] = field(default_factory=list[str])


@value
class Other:
    x: int
    y: int = 0


def test_values_are_compared_hashed_and_shown_by_their_fields() -> None:
    assert Point(1) == Point(1, 0)
    assert Point(1) != Point(2)
    assert Point(1) != Other(1)
    assert len({Point(1), Point(1), Point(2)}) == 2
    assert repr(Named(name="a", at=Point(1))) == "Named(name='a', at=Point(x=1, y=0))"


def test_values_are_dataclasses_with_slots_that_match_replace_and_become_json() -> None:
    assert not hasattr(Point(1), "__dict__")
    assert dataclasses.replace(Point(1), y=2) == Point(1, 2)
    match Point(3, 4):
        case Point(x, y):
            assert (x, y) == (3, 4)
    assert json.loads(to_json(Named(name="a", at=Point(1)))) == {"name": "a", "at": {"x": 1, "y": 0}}


def test_what_plugin_authors_get_cannot_be_changed_by_them_and_yet_be_copied() -> None:
    kept = Kept(name="a", note="b")
    with pytest.raises(FrozenInstanceError, match="'name'"):
        kept.name = "c"  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(FrozenInstanceError, match="'note'"):
        del kept.note  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises((AttributeError, TypeError)):
        kept.other = 1  # pyright: ignore[reportAttributeAccessIssue]
    copies = [copy.copy(kept), copy.deepcopy(kept), pickle.loads(pickle.dumps(kept)), dataclasses.replace(kept)]  # noqa: S301  our own
    assert [(one.name, one.note) for one in copies] == [("a", "b")] * 4
    assert kept == Kept(name="a")  # `note` is not compared


def test_what_is_given_to_a_value_is_what_its_fields_are_in_their_order() -> None:
    assert str(inspect.signature(Point)) == "(x: int, y: int = 0) -> None"
    assert str(inspect.signature(Named)) == f"(*, name: str, at: {Point.__module__}.Point) -> None"
    with pytest.raises(TypeError, match=r"^Point.__init__\(\) missing 1 required positional argument: 'x'$"):
        Point()  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError, match=r"^Named.__init__\(\) takes 1 positional argument but 2 were given$"):
        Named("a")  # pyright: ignore[reportCallIssue]


def test_a_class_that_is_derived_from_a_value_takes_the_fields_of_both() -> None:
    one, other = Listed(name="a", note="b"), Listed(name="a")
    one.words.append("c")
    assert (one.words, other.words) == (["c"], [])
    assert dataclasses.replace(one, name="d") == Listed(name="d", words=["c"])
    with pytest.raises(FrozenInstanceError):
        one.words = []  # pyright: ignore[reportAttributeAccessIssue]


def test_plugin_authors_may_derive_frozen_dataclasses_of_their_own() -> None:
    theirs = Theirs(name="a", more=1)
    assert (theirs.name, theirs.note, theirs.more) == ("a", "", 1)
    with pytest.raises(FrozenInstanceError):
        theirs.more = 2  # pyright: ignore[reportAttributeAccessIssue]


def test_a_value_of_a_generic_class_is_made_by_what_stands_in_brackets_as_well() -> None:
    assert Holding[int](1) == Holding(1)


def test_what_changes_is_nobodys_equal_and_has_slots() -> None:
    one, other = Counted(), Counted()
    one.words.append("a")
    one.number += 1
    assert (one.number, one.words, other.words) == (1, ["a"], [])
    assert one != Counted(1, ["a"])
    with pytest.raises(AttributeError):
        one.other = 1  # pyright: ignore[reportAttributeAccessIssue]
