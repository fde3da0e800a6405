"""Inputs that somebody might give a reader: good ones, of which something is changed where it hurts.

Each is made by chance, by a `Random`: a seed makes always the same one, and hypothesis, which brings a `Random` of its
own, finds the simplest that fails.
"""

import copy
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from random import Random
from typing import Any, TypeAlias, TypeVar, cast
from xml.etree import ElementTree as ET

T = TypeVar("T")
Maker: TypeAlias = Callable[[Random], bytes]

LONGEST = 200_000  # bytes of an input
# What stands between lines and words for somebody, what nobody sees, and what is no character at all.
ODD = (
    *"\n\r\t\v\f\0\x07\x1b\x1c\x85\xa0\u2028\u2029\ufeff\u202e\u200d\ud800\udcff\uffff\U0010ffffé٣ſ '\"\\", "\r\n",
    "\x1b[2J", "\ud83d\ude00",
)  # fmt: skip
NUMBERS = (
    "0", "-1", "1", "007", "1e999", "-1e999", "1e308", "NaN", "nan", "inf", "-Infinity", "1.5", "0x1f", "1_000", "٣",
    "9" * 20, "9" * 400, "9" * 5000, "-" + "9" * 5000, "0." + "9" * 400,
)  # fmt: skip
DEEP = ("[" * 40, "{" * 40, "[" * 3000, '{"a":' * 3000, "[]" * 3000, "(" * 3000)
ODD_BYTES = (
    b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xc0\x80", b"\xed\xa0\x80", b"\x80", b"\0", b"\xf4\x90\x80\x80", b"\n\xff",
)  # fmt: skip
JSON_VALUES = (
    "null", "true", "false", "0", "-1", "1.5", "1e999", "-1e999", "NaN", "Infinity", "-0.0", "9" * 20, "9" * 400,
    "9" * 5000, "1e-400", '""', '"x"', '"7"', '"' + "9" * 5000 + '"', '"\\ud800"', '"\\u0000"',
    '"a\\nb\\u2028c\\u001b[2J"', '"' + "x" * 5000 + '"', "[]", "{}", "[[]]", "[null]", "[7]", '["x"]', '{"a": 1}',
    '{"": null}', "2026-11-26", '"2026-13-45T99:00:00"', '"0001-01-01T00:00:00+23:59"', '"9999-12-31T23:59:59-23:59"',
)  # fmt: skip
LARGE_VALUES = (
    "[" * 3000 + "]" * 3000, '{"a":' * 3000 + "1" + "}" * 3000, "[" * 60_000, "[" + "7," * 20_000 + "7]",
    "[" * 600 + "]" * 600,
)  # fmt: skip


def texts(seeds: Sequence[str], pieces: Sequence[str] = ()) -> Maker:
    """Good texts with some places changed: cut, repeated, or with `pieces` and odd characters put in."""
    kinds = (pieces or ODD, pieces or ODD, ODD, NUMBERS)

    def make(chance: Random) -> bytes:
        text = _one(chance, seeds)
        for _ in range(chance.randint(0, 5)):
            text = _changed(chance, text, DEEP if _rarely(chance) else _one(chance, kinds))
        return _as_bytes(chance, text)

    return make


def documents(seeds: Sequence[str], values: Sequence[str] = ()) -> Maker:
    """Good JSON, one document a line, with values replaced, left out or given twice, and lines lost or doubled."""
    small = (*JSON_VALUES, *values, *values)
    parsed = [[json.dumps(json.loads(line)) for line in seed.splitlines() if line.strip()] for seed in seeds]

    def make(chance: Random) -> bytes:
        lines = list(_one(chance, parsed))
        for _ in range(chance.randint(0, 4)):
            at = chance.randrange(len(lines))
            lines[at] = _rewritten(chance, lines[at], LARGE_VALUES if _rarely(chance) else small)
        for _ in range(chance.randint(0, 1)):
            _shuffled(chance, lines)
        text = "\n".join(lines) + "\n"
        # Most of what is wrong with the text itself is for the parser, which is not ours.
        return _as_bytes(chance, _changed(chance, text, ODD) if _rarely(chance) else text)

    return make


def elements(seeds: Sequence[str], words: Sequence[str] = ()) -> Maker:
    """Good XML that stays XML, with texts and attributes replaced, and elements left out, doubled or put elsewhere."""
    texts = [
        text
        for text in (*words, *words, *ODD, *NUMBERS)
        if not re.search("[\0-\x08\x0b-\x1f\ud800-\udfff\uffff]", text)
    ]
    parsed = [ET.fromstring(seed) for seed in seeds]  # noqa: S314  our own

    def make(chance: Random) -> bytes:
        root = copy.deepcopy(_one(chance, parsed))
        for _ in range(chance.randint(0, 4)):
            text = _one(chance, texts) * (_one(chance, (40, 3000)) if _rarely(chance) else 1)
            _grafted(chance, list(root.iter()), text[: LONGEST // 8])  # whole, it is XML still
        return ET.tostring(root, encoding="utf-8")

    return make


def _grafted(chance: Random, every: Sequence[ET.Element], text: str) -> None:
    one, other = _one(chance, every), _one(chance, every)
    how = chance.randrange(5)
    if how == 0 and one.attrib:
        one.set(_one(chance, sorted(one.attrib)), text)
    elif how == 1 and len(one):
        one.remove(one[chance.randrange(len(one))])
    elif how == 2 and not len(other):
        one.append(copy.deepcopy(other))
    elif how == 3:
        one.tag = other.tag
    else:
        one.text = text


def _one(chance: Random, several: Sequence[T]) -> T:
    return several[chance.randrange(len(several))]


def _rarely(chance: Random) -> bool:
    return chance.randrange(20) == 19


def _changed(chance: Random, text: str, pieces: Sequence[str]) -> str:
    """The text with something in the place of so many characters, which may be none."""
    begin = chance.randint(0, len(text))
    end = begin + _one(chance, (0, 0, 0, 1, 3, 20, 100, len(text)))
    piece = _one(chance, pieces)
    times = _one(chance, (40, 3000)) if _rarely(chance) else _one(chance, (1, 1, 1, 1, 0, 2, 3))
    return (text[:begin] + piece * min(times, LONGEST // len(piece)) + text[end:])[:LONGEST]


def _as_bytes(chance: Random, text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    if _rarely(chance):
        begin = chance.randint(0, len(data))
        data = data[:begin] + _one(chance, ODD_BYTES) + data[begin + _one(chance, (0, 1, 3, 100, len(data))) :]
    return data[:LONGEST]


def _rewritten(chance: Random, line: str, values: Sequence[str]) -> str:
    """A line of JSON with one value of it changed; as it is where it is no JSON any more."""
    try:
        document: Any = json.loads(line)
    except (ValueError, RecursionError):
        return line
    places = list(_places(document))
    if not places:
        return _one(chance, values)
    container, key = _one(chance, places)
    mark, odd = "\x01", _one(chance, values)
    how = _one(chance, "rrrrdtn")
    if how == "d":
        del container[key]
    elif how == "n" and isinstance(container, dict):
        container[f"{key}x"] = cast("dict[Any, Any]", container).pop(key)
    else:
        container[key] = mark
        # A dictionary has no key twice: the text that comes in its place brings the second one along.
        odd = f"{odd}, {json.dumps(key)}: {odd}" if how == "t" and isinstance(container, dict) else odd
    return json.dumps(document, ensure_ascii=chance.randrange(2) == 0).replace(json.dumps(mark), odd)[:LONGEST]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Wherever a value stands: the list or mapping, and its index or key there."""
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
    elif isinstance(value, list):
        items = enumerate(cast("list[Any]", value))
    for key, below in items:
        yield value, key
        yield from _places(below)


def _shuffled(chance: Random, lines: list[str]) -> None:
    at, how = chance.randrange(len(lines)), chance.randrange(4)
    if how == 0 and len(lines) > 1:
        del lines[at]
    elif how == 1:
        lines.insert(at, lines[at])
    elif how == 2:
        lines.append(lines.pop(at))
    else:
        lines[at] = lines[at][: chance.randint(0, len(lines[at]))]
