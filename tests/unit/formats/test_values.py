"""Values that are made cheaply behave as frozen dataclasses do, as far as anybody looks."""

import dataclasses
import json

from lastcall.formats.json_text import to_json
from lastcall.formats.values import value


@value
class Point:
    x: int
    y: int = 0


@value(kw_only=True)
class Named:
    name: str
    at: Point


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
