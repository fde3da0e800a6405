"""Values that are made cheaply behave as frozen dataclasses do, as far as anybody looks."""

import copy
import dataclasses
import inspect
import json
import pickle
from dataclasses import FrozenInstanceError, field
from typing import Any, Generic, TypeVar

import pytest

from lastcall import Guest
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


def test_the_first_values_of_a_class_are_made_as_the_later_ones_are() -> None:
    @value
    class Fresh:
        x: int
        words: list[str] = field(default_factory=list[str])
        y: int = field(default=0, kw_only=True)

    made = [Fresh(number, y=1) for number in range(20)]
    assert [(one.x, one.words, one.y) for one in made] == [(number, [], 1) for number in range(20)]
    assert len({id(one.words) for one in made}) == 20
    assert all(Fresh(*arguments) == Fresh(1, ["a"]) for arguments in [(1, ["a"])] * 20)


@pytest.mark.parametrize("earlier", [0, 20])
def test_what_is_no_value_is_told_as_python_would(earlier: int) -> None:
    @value
    class Fresh:
        x: int
        y: int = 0

    make: Any = Fresh
    for _ in range(earlier):
        make(1)
    called = f"{Fresh.__qualname__}.__init__() "
    for given, named, message in (
        ((), {}, "missing 1 required positional argument: 'x'"),
        ((1, 2, 3), {}, "takes from 2 to 3 positional arguments but 4 were given"),
        ((1,), {"x": 2}, "got multiple values for argument 'x'"),
        ((1,), {"z": 2}, "got an unexpected keyword argument 'z'"),
    ):
        with pytest.raises(TypeError) as caught:
            make(*given, **named)
        assert str(caught.value) == called + message


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


def test_a_guests_key_is_made_once_and_is_no_part_of_what_the_guest_says() -> None:
    guest = Guest(uri="qemu:///system", uuid="1", name="db")
    told = to_json(guest)
    assert guest.key == ("qemu:///system", "1")
    assert guest.key is guest.key
    assert to_json(guest) == told
    for same in (copy.copy(guest), copy.deepcopy(guest), dataclasses.replace(guest, name="web")):
        assert (same, same.key) == (guest, guest.key)
    assert dataclasses.replace(guest, uuid="2").key == ("qemu:///system", "2")
