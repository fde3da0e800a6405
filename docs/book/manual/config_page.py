"""Section 5: every key of the configuration, from the schema that the configuration is validated by."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

import yaml

from book.manual.roff import escaped, item, paragraph, paragraphs, title, verbatim
from lastcall.config.compose import settings_schema
from lastcall.config.settings import Bootstrap
from lastcall.formats.quantities import format_duration
from lastcall.formats.version import __version__
from lastcall.hooks.discovery import Plugins
from lastcall.installation.sample import SAMPLE

Schema = Mapping[str, Any]

_ABOUT = """\
YAML. Without any file the defaults stop and restore the guests of `qemu:///system`.

Files in /etc/lastcall/conf.d are laid over /etc/lastcall/config.yaml in the order of their names: mappings merge,
`guests` appends, other lists replace. They have to belong to root, and nobody else may write there.

`lastcall config check` shows every error at once, `lastcall config show` what is in force, and
`lastcall config guest GUEST` where each setting of a guest comes from.

A duration is written as `90s`, `4min` or `1h30m`, or as plain seconds. In what follows, `[]` stands for each item of a
list and `*` for a name that you choose. Plugins add keys of their own; those of the bundled ones are here.
"""
_DURATION = "(ms|s|min|h|d)"  # a part of the pattern of every duration
# A plain number is what a duration may be, too: it is said once, above.
_WORDS = {
    "string": "text", "integer": "number", "number": "", "boolean": "true or false", "null": "null", "array": "list",
    "object": "mapping",
}  # fmt: skip
_DEEPEST = 6  # dots of a path, below which the commands of a guest would begin again


def config_page(date: str) -> str:
    """lastcall-config(5), as of a date such as 2026-11-27."""
    return "\n".join(_page(date)) + "\n"


def _page(date: str) -> Iterator[str]:
    yield title("lastcall-config", 5, date, f"lastcall {__version__}", "lastcall")
    yield from (".SH NAME", "lastcall\\-config \\- what lastcall is to do, and for which guests")
    yield from (".SH SYNOPSIS", ".I /etc/lastcall/config.yaml", ".br", ".I /etc/lastcall/conf.d/*.yaml")
    yield ".SH DESCRIPTION"
    yield from paragraphs(_ABOUT)
    keys = _Keys(settings_schema(Plugins(Bootstrap(), bundled_only=True).vocabulary))
    for name in keys.sections():
        yield f".SH {escaped(name.upper())}"
        yield from keys.section(name)
    yield ".SH EXAMPLES"
    yield from paragraph("Every setting with its default, as `lastcall config sample` prints it:")
    yield ".PP"
    yield from verbatim(SAMPLE)
    yield from (".SH SEE ALSO", ".BR lastcall (1),", ".BR lastcall\\-config (1)")


class _Keys:
    """The keys of a schema, each with what it takes, its default and what is said of it."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._sample: Any = yaml.safe_load(SAMPLE)

    def sections(self) -> list[str]:
        return list(self._root["properties"])

    def section(self, name: str) -> Iterator[str]:
        given: Schema = self._root["properties"][name]
        yield from paragraph(given.get("description", ""))
        known = set[str]()
        if name == "guests":
            yield ".PP"
            yield from paragraph("Beside `match`, a rule has the keys of `defaults`.")
            known |= {f"guests[].{key}" for key in self._resolved(self._root["properties"]["defaults"])["properties"]}
        seen = set[str]()
        for key, schema, default in self._below(given, f"{name}[]" if "items" in given else name, given.get("default")):
            above = ".".join(key.split(".")[:2]).replace("[]", "").replace("guests", "guests[]")
            if key in seen or above in known:
                continue
            seen.add(key)
            facts = [self._kind(schema)]
            facts += [f"default: {self._default(key, schema, default)}"] if default is not None else []
            told = "; ".join(filter(None, facts))
            yield from item(key, f"{f'({told}) ' if told else ''}{schema.get('description', '')}")

    def _resolved(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            found: Schema = self._root["$defs"][schema["$ref"].rpartition("/")[2]]
            schema = {**found, **{key: value for key, value in schema.items() if key != "$ref"}}
        return schema

    def _ways(self, schema: Schema) -> Iterator[Schema]:
        """Each of the forms in which a value may be written."""
        schema = self._resolved(schema)
        below = [one for way in ("anyOf", "oneOf", "allOf") for one in schema.get(way, ())]
        if not below:
            yield schema
        for one in below:
            yield from self._ways(one)

    def _below(self, schema: Schema, path: str, default: Any) -> Iterator[tuple[str, Schema, Any]]:
        """Every key below, by its path, with its schema and its default (None: it has none)."""
        if path.count(".") > _DEEPEST:
            return
        for way in self._ways(schema):
            if isinstance(way.get("items"), Mapping):
                yield from self._below(way["items"], path if path.endswith("[]") else f"{path}[]", None)
            if isinstance(way.get("additionalProperties"), Mapping):
                yield from self._below(way["additionalProperties"], f"{path}.*", None)
            given = _mapping(default)
            for name, one in way.get("properties", {}).items():
                found = self._resolved(one)
                value = given.get(name, found.get("default"))
                yield f"{path}.{name}", found, None if isinstance(value, Mapping) else value
                yield from self._below(one, f"{path}.{name}", value)

    def _kind(self, schema: Schema) -> str:
        """What it takes, in a few words."""
        words = map(_word, self._ways(schema))
        return " or ".join(dict.fromkeys(word for word in words if word))

    def _default(self, key: str, schema: Schema, default: Any) -> str:
        """As people write it: as the sample does, if it is there."""
        written: Any = self._sample
        for name in key.split("."):
            written = _mapping(written).get(name)
        if isinstance(written, str):
            return written
        if any(_DURATION in way.get("pattern", "") for way in self._ways(schema)) and isinstance(default, float):
            return format_duration(default)
        return default if isinstance(default, str) else json.dumps(default)


def _mapping(given: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", given) if isinstance(given, Mapping) else {}


def _word(way: Schema) -> str:
    if "enum" in way:
        return " or ".join(json.dumps(one).strip('"') for one in way["enum"])
    if _DURATION in way.get("pattern", ""):
        return "duration"
    return _WORDS.get(way.get("type", ""), "")
