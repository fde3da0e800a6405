"""JSON of whatever a plugin, a guest or a server said: always there, always valid, always true."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from lastcall import Guest
from lastcall.formats.bounded_text import MESSAGE_LIMIT, bounded
from lastcall.formats.json_text import to_json
from lastcall.formats.plain_values import EVIDENCE_ITEMS, plain_evidence, plain_value


class Mute:
    def __repr__(self) -> str:
        raise RuntimeError("not today")


class Stubborn(dict[str, int]):
    def items(self) -> Any:
        raise RuntimeError("not today")


def endless() -> list[Any]:
    found: list[Any] = [1]
    found.append(found)
    return found


def deep() -> list[Any]:
    found: list[Any] = []
    for _ in range(2000):
        found = [found]
    return found


def bomb() -> list[Any]:
    found: list[Any] = [0]
    for _ in range(20):
        found = [found] * 2
    return found


FOREIGN = [
    "a\udcff", {"\ud800": 1}, b"\xff\xfe", math.nan, math.inf, {"x": [-math.inf]}, object(), Mute(), {Mute(): Mute()},
    endless(), deep(), 10**5000, {1, 2}, Path("/a\udc80"), 1j, Stubborn(a=1), Guest(uri="u", uuid="u", name="\udc80"),
]  # fmt: skip


def refused(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


@pytest.mark.parametrize("value", FOREIGN, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("indent", [None, 1])
def test_nothing_keeps_the_rest_from_being_valid_json(value: object, indent: int | None) -> None:
    text = to_json({"before": "ü", "foreign": plain_evidence(value), "after": [value, 7]}, indent=indent)
    assert text.encode()
    if value == 10**5000:
        return  # a number to JSON, only that Python reads none of this length; `plain_evidence` made a text of it
    told = json.loads(text, parse_constant=refused)
    assert (told["before"], told["after"][1]) == ("ü", 7)
    json.dumps(told, ensure_ascii=False).encode()  # no lone surrogate in it


def test_bytes_that_are_no_utf8_cost_nothing_but_themselves() -> None:
    told = json.loads(to_json({"said": b"a\xffb\xc3\xbc", "line": "c\udcfed"}))
    assert told == {"said": "a\\xffbü", "line": "c\\udcfed"}


def test_json_has_the_true_text_and_yet_nothing_that_a_terminal_obeys() -> None:
    name = "db\x1b[2J\x85\u2028\u202e\x9b\x7f\U000e0041\r\n"
    text = to_json({"name": name}, indent=1)
    assert json.loads(text) == {"name": name}
    assert all(line.isprintable() for line in text.split("\n"))
    assert len(text.splitlines()) == 3


def test_values_of_ours_are_the_same_by_either_way() -> None:
    value = {"a": [1, 2.5, None, True, "x"], "guest": Guest(uri="u", uuid="i", name="n"), "path": Path("/x")}
    assert json.loads(json.dumps(plain_value(value))) == json.loads(to_json(value))


def test_numbers_that_are_none_are_called_by_name() -> None:
    assert json.loads(to_json([math.nan, math.inf])) == ["NaN", "Infinity"]
    assert plain_evidence([math.nan, 10**5000])[0] == "nan"


def test_a_long_text_is_cut_once_and_says_by_how_much() -> None:
    cut = bounded("x" * 835_635)
    assert len(cut) <= MESSAGE_LIMIT
    assert cut.endswith(f"… cut, {835_635 - cut.count('x')} more")
    assert bounded(cut) == cut
    assert bounded("x" * MESSAGE_LIMIT) == "x" * MESSAGE_LIMIT
    assert bounded(5) == "5"
    assert bounded(Mute()) == "<Mute>"


@pytest.mark.parametrize("value", [list(range(10**6)), bomb(), {str(one): "x" * 10**5 for one in range(50)}])
def test_evidence_is_bounded_whatever_it_is_made_of(value: Any) -> None:
    told = json.dumps(plain_evidence({"found": value}))
    assert len(told) <= EVIDENCE_ITEMS * 20 + 60 * MESSAGE_LIMIT
