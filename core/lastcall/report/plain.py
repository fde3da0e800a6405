"""Dataclasses, enums and paths as plain JSON values."""

import dataclasses
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any, cast


def to_plain(value: Any) -> Any:
    """Turn a value into what `json.dumps` knows; floats are rounded to milliseconds, unknown things become text."""
    if value is None or (isinstance(value, bool | int) and not isinstance(value, Enum)):
        return value
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return value
    return _structure(value)


def _structure(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in cast("Mapping[object, object]", value).items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(item) for item in cast("list[object]", value)]
    return str(value) if isinstance(value, PurePath) else repr(value)
