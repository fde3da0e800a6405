"""What may stand where a model is read, and what was probably meant by what stands there instead."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from pydantic import BaseModel

MAPPING = "a mapping"
_KINDS = {"string": "a text", "integer": "a whole number", "number": "a number", "boolean": "true or false"}
_LONGEST = 80  # characters of what was probably meant
_PLAIN = re.compile(r"-{0,2}[A-Za-z/][\w./:+-]*( [\w./:+-]+)*|\d+(ms|s|min|h|d|%)")  # needs no quotes in YAML
_WORDS = frozenset({"true", "false", "null"})


def forms_of(model: object) -> str:
    """`a URI or a mapping`: what a model takes, as its JSON Schema says; there its short forms are described."""
    if not isinstance(model, type) or not issubclass(model, BaseModel) or not _has_short_form(model):
        return MAPPING
    try:
        schema = model.model_json_schema()
    except Exception:  # noqa: BLE001  a plugin's model, of which an error is told already
        return MAPPING
    *others, last = dict.fromkeys(_words(schema, cast("Mapping[str, Any]", schema.get("$defs", {})))) or [MAPPING]
    return f"{', '.join(others)} or {last}" if others else last


def _has_short_form(model: type[BaseModel]) -> bool:
    # Most have none: not asked for their schema, they need not be built to say so.
    return getattr(model.__get_pydantic_json_schema__, "__func__", None) is not getattr(
        BaseModel.__get_pydantic_json_schema__, "__func__", None
    )


def _words(schema: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[str]:
    """The forms of a schema, each in words."""
    reference = schema.get("$ref")
    if reference:
        yield from _words(known.get(str(reference).rpartition("/")[2], {"type": "object"}), known)
    elif "anyOf" in schema:
        for one in schema["anyOf"]:
            yield from _words(one, known)
    elif "const" in schema:
        yield str(schema["const"])
    elif schema.get("type") == "object":
        yield MAPPING
    elif schema.get("type") == "array":
        yield schema.get("description") or "a list"
    else:
        yield schema.get("description") or _KINDS.get(str(schema.get("type")), "a value")


def key_meant(model: object, given: object, key: object) -> str:
    """`; did you mean acpi: {timeout: 5min}?` where what is no mapping would do behind one of its keys, or in a list.

    `key`: what it stands behind; of a list it is a number.
    """
    if not isinstance(model, type) or not issubclass(model, BaseModel) or given is None:
        return ""
    alone = _fits(model, [given])
    name = "" if alone else next((name for name in model.model_fields if _fits(model, {name: given})), "")
    meant = f"[{_written(given)}]" if alone else f"{{{name}: {_written(given)}}}"
    if not (alone or name) or len(meant) > _LONGEST:
        return ""
    return f"; did you mean {meant}?" if isinstance(key, int) else f"; did you mean {key}: {meant}?"


def _fits(model: type[BaseModel], given: object) -> bool:
    try:
        model.model_validate_json(json.dumps(given))  # what YAML knows is judged as JSON, whosever model it is
    except Exception:  # noqa: BLE001  what a plugin's validator raises
        return False
    return True


def _written(given: object) -> str:
    """A value as it is written in YAML, between braces."""
    if isinstance(given, list):
        return f"[{', '.join(map(_written, cast('list[object]', given)))}]"
    if isinstance(given, str) and _PLAIN.fullmatch(given) and given not in _WORDS and ": " not in given:
        return given
    return json.dumps(given, ensure_ascii=False)
