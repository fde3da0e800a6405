"""From JSON back to the values that it was made of, by the types of their fields.

pydantic does this and more; building its validators for a dozen records takes longer than reading a hundred logs.
"""

import contextlib
import json
import math
import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin

from lastcall.formats.bounded_text import bounded, shown

T = TypeVar("T")
_PLAIN = frozenset({str, int, bool, float})
DEEPEST = 32  # lists and objects inside of each other; a record with evidence has some twenty
_TOO_DEEP = f"more than {DEEPEST} lists and objects inside of each other"
_TOLD = 200  # characters of what does not fit
_DIGITS = 20  # of a number; nobody counts with more, and of some thousand Python refuses to make one


def from_json(text: str | bytes) -> Any:
    """What a JSON text of ours says; raises ValueError for whatever we would not have written.

    That is no JSON, numbers that nobody counts with, NaN and infinity, and lists in lists without end.
    """
    try:
        found = json.loads(text, parse_int=_whole_number, parse_float=_finite, parse_constant=_refuse)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    # Python itself bears some thousand levels, and who shows, copies or compares such a value does not.
    level = [found]
    for _ in range(DEEPEST):
        level = [item for one in level for item in _inside(one) if isinstance(item, dict | list)]
        if not level:
            return found
    raise ValueError(_TOO_DEEP)


def decoded(kind: type[T], given: Any) -> T:
    """A dataclass from a JSON object; raises ValueError for what does not fit. Unknown keys are ignored."""
    return cast("T", _decoded(kind, given, kind.__name__))


def _decoded(kind: Any, given: Any, where: str) -> Any:
    if type(given) is kind and kind in _PLAIN:
        return given  # as most are
    origin = get_origin(kind)
    if kind is Any or _is_mapping(origin, given):
        return given  # mappings hold what JSON holds: versions, evidence
    if origin in {Union, types.UnionType}:
        return _one_of([one for one in get_args(kind) if one is not types.NoneType or given is None], given, where)
    if origin is Literal and given in get_args(kind):
        return given
    if origin is tuple and isinstance(given, list):
        return tuple(_items(kind, cast("list[Any]", given), where))
    if isinstance(kind, type) and is_dataclass(kind) and isinstance(given, dict):
        return _object(kind, cast("dict[str, Any]", given), where)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(given)
    if _is_plain(kind, given):
        return float(given) if kind is float else given
    raise ValueError(f"{where}: {_told(given)} is no {kind}")


def _object(kind: type[Any], given: dict[str, Any], where: str) -> Any:
    known = _fields(kind)
    missing = [name for name, one in known.items()
               if name not in given and one.default is MISSING and one.default_factory is MISSING]  # fmt: skip
    if missing:
        raise ValueError(f"{where}: {missing[0]} is missing")
    # A log that a newer version wrote has keys more; after a downgrade it still has to be readable.
    found = {name: _decoded(known[name].type, item, f"{where}.{name}") for name, item in given.items() if name in known}
    return kind(**found)


@cache
def _fields(kind: type[Any]) -> Mapping[str, Field[Any]]:
    return {one.name: one for one in fields(kind)}


def _items(kind: Any, given: list[Any], where: str) -> list[Any]:
    kinds = get_args(kind)
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return [_decoded(kinds[0], item, where) for item in given]
    if len(kinds) != len(given):
        raise ValueError(f"{where}: {_told(given)} has not {len(kinds)} parts")
    return [_decoded(one, item, where) for one, item in zip(kinds, given, strict=True)]


def _one_of(kinds: list[Any], given: Any, where: str) -> Any:
    """The first of a union's kinds that fits; raises what the last one raises."""
    if given is None and types.NoneType in kinds:
        return None
    for kind in kinds[:-1]:
        with contextlib.suppress(ValueError):
            return _decoded(kind, given, where)
    return _decoded(kinds[-1], given, where)


def _is_mapping(origin: Any, given: object) -> bool:
    return isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(given, dict)


def _told(given: object) -> str:
    return bounded(shown(given), _TOLD)


def _is_plain(kind: Any, given: Any) -> bool:
    if kind is float:
        return isinstance(given, int | float) and not isinstance(given, bool)
    # By the very type: to isinstance, True is an int and would pass as a number.
    return kind in _PLAIN and type(given) is kind


def _inside(given: Any) -> Iterable[Any]:
    if isinstance(given, dict):
        return cast("dict[str, Any]", given).values()
    return cast("list[Any]", given) if isinstance(given, list) else ()


def _whole_number(digits: str) -> int:
    return int(digits) if len(digits) <= _DIGITS else _refuse(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refuse(digits)


def _refuse(number: str) -> Any:
    raise ValueError(f"{number[:_DIGITS]} is no number to count with")
