"""Values of ours as JSON; pydantic's serializer, as the standard library's knows neither dataclasses nor enums."""

import json
from typing import Any

from lastcall.formats.bounded_text import shown
from lastcall.formats.plain_values import plain_value
from lastcall.formats.visible_text import escaped


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Turn dataclasses, enums, mappings and paths into JSON; never raises, whatever a plugin put into them.

    What has no JSON form is shown by its `repr`, NaN and infinity by their names, a lone surrogate by its escape. The
    text is the true one; yet what `visible` would show is written as JSON's own escapes, so that a terminal and who
    reads line by line get nothing else.
    """
    import pydantic_core  # here: commands that print text for people do without it

    try:
        text = pydantic_core.to_json(value, indent=indent, inf_nan_mode="strings", fallback=shown).decode()
    # One surrogate, cycle or object in a hundred guests' report would cost the whole of it.
    except Exception:  # noqa: BLE001  pydantic's own errors, and those of the objects it asks
        text = json.dumps(
            plain_value(value), indent=indent, ensure_ascii=False, separators=(",", ": " if indent else ":")
        )
    if text.replace("\n", "").isprintable():
        return text  # as nearly all is: of a thousand guests' report no line is looked at by itself
    return "\n".join(escaped(line, _as_json) for line in text.split("\n"))


def _as_json(character: str) -> str:
    return json.dumps(character)[1:-1]
