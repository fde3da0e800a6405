"""From JSON back to the values that it was made of, by the types of their fields.

pydantic does this and more; building its validators for a dozen records takes longer than reading a hundred logs.
"""

import contextlib
import json
import math
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache, partial
from typing import Any, Literal, TypeAlias, TypeVar, Union, cast, get_args, get_origin

from lastcall.formats.bounded_text import bounded, shown

T = TypeVar("T")
_Decoder: TypeAlias = Callable[[Any], Any]
DEEPEST = 32  # lists and objects inside of each other; a record with evidence has some twenty
_TOO_DEEP = f"more than {DEEPEST} lists and objects inside of each other"
_TOLD = 200  # characters of what does not fit
_DIGITS = 20  # of a number; nobody counts with more, and of some thousand Python refuses to make one


def from_json(text: str | bytes) -> Any:
    """What a JSON text of ours says; raises ValueError for whatever we would not have written.

    That is no JSON, numbers that nobody counts with, NaN and infinity, and lists in lists without end.
    """
    text = text.decode(json.detect_encoding(text), "surrogatepass") if isinstance(text, bytes) else text
    try:
        found = _READER.decode(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if text.count("[") + text.count("{") <= DEEPEST:
        return found  # as nearly all, of which thousands are read
    # Python itself bears some thousand levels, and who shows, copies or compares such a value does not.
    level = [found]
    for _ in range(DEEPEST):
        level = [item for one in level for item in _inside(one) if isinstance(item, dict | list)]
        if not level:
            return found
    raise ValueError(_TOO_DEEP)


def decoded(kind: type[T], given: Any) -> T:
    """A dataclass from a JSON object; raises ValueError for what does not fit. Unknown keys are ignored."""
    try:
        return cast("T", _decoder(kind)(given))
    except _Misfit as misfit:
        raise ValueError(f"{'.'.join([kind.__name__, *reversed(misfit.names)])}: {misfit}") from None


class _Misfit(ValueError):
    """What is given does not fit; `names`: of the fields that lead there, the innermost first."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.names: list[str] = []


def _decoder(kind: Any) -> _Decoder:
    """What makes a value of this kind of JSON: looked up once for each field, as a log has thousands of them."""
    origin = get_origin(kind)
    if kind is Any:
        return _as_it_is
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _exact(dict, kind)  # mappings hold what JSON holds: versions, evidence
    if origin in {Union, types.UnionType}:
        return _one_of(get_args(kind))
    if origin is Literal:
        return partial(_literal, kind)
    if origin is tuple:
        return _tuple(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        return partial(_object, kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind
    return _number if kind is float else _exact(cast("type[Any]", kind), kind)


def _object(kind: type[Any], given: Any) -> Any:
    if not isinstance(given, dict):
        raise _no(kind, given)
    decoders, required = _fields(kind)
    found, name = dict[str, Any](), ""
    for one in required:
        if one not in given:
            raise _Misfit(f"{one} is missing")
    try:
        for name, item in cast("dict[str, Any]", given).items():
            decoder = decoders.get(name)
            # A log that a newer version wrote has keys more; after a downgrade it still has to be readable.
            if decoder:
                found[name] = decoder(item)
    except _Misfit as misfit:
        misfit.names.append(name)
        raise
    return kind(**found)


@cache
def _fields(kind: type[Any]) -> tuple[Mapping[str, _Decoder], Sequence[str]]:
    """How each field of a dataclass is made, and which have to be there."""
    known = fields(kind)
    required = [one.name for one in known if one.default is MISSING and one.default_factory is MISSING]
    return {one.name: _decoder(one.type) for one in known}, required


def _tuple(kind: Any) -> _Decoder:
    kinds = get_args(kind)
    alike = len(kinds) == 2 and kinds[1] is Ellipsis
    decoders = [_decoder(one) for one in kinds if one is not Ellipsis]

    def decode(given: Any) -> Any:
        if not isinstance(given, list):
            raise _no(kind, given)
        items = cast("list[Any]", given)
        if alike:
            return tuple(map(decoders[0], items))
        if len(decoders) != len(items):
            raise _Misfit(f"{_told(items)} has not {len(decoders)} parts")
        return tuple(decoder(item) for decoder, item in zip(decoders, items, strict=True))

    return decode


def _one_of(kinds: Sequence[Any]) -> _Decoder:
    """The first of a union's kinds that fits; raises what the last one raises."""
    nullable = types.NoneType in kinds
    *first, last = (_decoder(one) for one in kinds if one is not types.NoneType)

    def decode(given: Any) -> Any:
        if given is None and nullable:
            return None
        for decoder in first:
            with contextlib.suppress(ValueError):
                return decoder(given)
        return last(given)

    return decode


def _literal(kind: Any, given: Any) -> Any:
    if given in get_args(kind):
        return given
    raise _no(kind, given)


def _as_it_is(given: Any) -> Any:
    return given


def _exact(made_of: type[Any], kind: Any) -> _Decoder:
    """Of one type of JSON's. By the very type: to isinstance, True is an int and would pass as a number."""

    def decode(given: Any) -> Any:
        if type(given) is made_of:
            return given
        raise _no(kind, given)

    return decode


def _number(given: Any) -> float:
    if type(given) is float or type(given) is int:
        return float(given)
    raise _no(float, given)


def _no(kind: Any, given: object) -> _Misfit:
    return _Misfit(f"{_told(given)} is no {kind}")


def _told(given: object) -> str:
    return bounded(shown(given), _TOLD)


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


# One for all: to make one takes as long as to read a record.
_READER = json.JSONDecoder(parse_int=_whole_number, parse_float=_finite, parse_constant=_refuse)
