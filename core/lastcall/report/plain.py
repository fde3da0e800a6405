"""Values of ours as JSON; pydantic's serializer, as the standard library's knows neither dataclasses nor enums."""

from typing import Any

from pydantic_core import to_json


def as_json(value: Any, *, indent: int | None = None) -> str:
    """Turn dataclasses, enums, mappings and paths into JSON; what has no JSON form is shown by its `repr`."""
    return to_json(value, indent=indent, fallback=repr).decode()
