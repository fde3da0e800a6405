"""The JSON Schema of a document, from the types of its fields: what a command prints, and what it promises, are one.

pydantic does this and more; its words differ from version to version, and what is published has to stay as it is.
"""

import inspect
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PLAIN: Mapping[Any, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}


def schema_of(document: type, title: str) -> Schema:
    """The schema of what `to_json` makes of such a document. Every field is there; later versions may have more."""
    definitions = dict[str, Schema]()
    top = _schema(document, definitions)
    content = definitions.pop(top["$ref"].rpartition("/")[2])
    return {"$schema": DIALECT, "title": title, **content, **({"$defs": definitions} if definitions else {})}


def _schema(kind: Any, definitions: dict[str, Schema]) -> Schema:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any or kind is object:
        return {}
    if kind in _PLAIN:
        return {"type": _PLAIN[kind]}
    if kind is types.NoneType:
        return {"type": "null"}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in {Union, types.UnionType}:
        return {"anyOf": [_schema(one, definitions) for one in arguments]}
    if origin is tuple and arguments[1:] == (Ellipsis,):
        return {"type": "array", "items": _schema(arguments[0], definitions)}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _schema(arguments[1], definitions)}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"type": "string", "enum": [one.value for one in kind]}
    return _object(kind, definitions)


def _object(kind: Any, definitions: dict[str, Schema]) -> Schema:
    """A reference to an object's schema, which it puts among the definitions. Raises TypeError for any other type."""
    name: str = kind.__name__
    if name not in definitions:
        content: Schema = {"type": "object"}
        definitions[name] = content  # before its fields, one of which may have it again
        said = kind.__doc__ and inspect.cleandoc(kind.__doc__)
        content |= {"description": said} if said else {}
        hints = get_type_hints(kind)
        content["properties"] = {field: _schema(hints[field], definitions) for field in _fields(kind)}
        content["required"] = list(content["properties"])
    return {"$ref": f"#/$defs/{name}"}


def _fields(kind: Any) -> list[str]:
    if is_typeddict(kind):
        return list(kind.__annotations__)
    if not is_dataclass(kind):
        raise TypeError(f"{kind} has no schema")
    return [one.name for one in fields(kind)]
