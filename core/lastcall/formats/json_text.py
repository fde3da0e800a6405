"""Values of ours as JSON; pydantic's serializer, as the standard library's knows neither dataclasses nor enums."""

from typing import Any

import pydantic_core


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Turn dataclasses, enums, mappings and paths into JSON; what has no JSON form is shown by its `repr`."""
    return pydantic_core.to_json(value, indent=indent, fallback=repr).decode()
