"""Documents against their published schemas, more strictly than these are: nothing more may be in them."""

import json
from typing import Any, cast

from jsonschema import Draft202012Validator

from book.schemas import FOLDER


def schema_of_command(*words: str) -> dict[str, Any]:
    """What docs/schemas says of this command's document."""
    return json.loads((FOLDER / f"{'-'.join(words)}.json").read_text())


def hold_against_schema(text: str, *words: str) -> Any:
    """Read what a command has printed; fails where it is not what its schema says, or has a field that this has not."""
    document = json.loads(text)
    validator = cast("Any", Draft202012Validator(_closed(schema_of_command(*words))))
    errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]
    assert not errors, errors
    assert document["version"] == 1
    return document


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(one) for one in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    content = {key: _closed(one) for key, one in cast("dict[str, Any]", schema).items()}
    return {**content, "additionalProperties": False} if "required" in content else content
