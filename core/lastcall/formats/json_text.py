"""Values of ours as JSON; pydantic's serializer, as the standard library's knows neither dataclasses nor enums."""

from typing import Any


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Turn dataclasses, enums, mappings and paths into JSON; what has no JSON form is shown by its `repr`."""
    import pydantic_core  # here: commands that print text for people do without it

    return pydantic_core.to_json(value, indent=indent, fallback=repr).decode()
