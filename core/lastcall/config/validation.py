"""From nodes to settings: every error at once, each with file, line and column."""

import difflib
import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lastcall.config.files import Located
from lastcall.config.guest_settings import GuestPolicy, LadderStep
from lastcall.config.nodes import ListNode, MapNode, Mark, as_written, locate, plain
from lastcall.config.settings import Settings
from lastcall.errors import Problem
from lastcall.options import Elsewhere


def validate(model: type[BaseModel], node: MapNode) -> tuple[BaseModel | None, list[Located]]:
    """Validate a document; returns (settings, []) or (None, errors sorted by place)."""
    try:
        return model.model_validate(plain(node)), []
    except ValidationError as error:
        found = [_located(model, node, detail) for detail in _once(error.errors(include_url=False))]
        return None, sorted(found, key=lambda pair: pair[0])


def without_unread(node: MapNode, names: frozenset[str]) -> MapNode:
    """The document without the sections and guest keys of plugins that could not be loaded: they stay unread."""
    # Judged, each would be an unknown key: one plugin that cannot be imported would make everything invalid.
    cut = MapNode(node.mark, dict(node.items), dict(node.marks))
    for section in ("plugins", "defaults"):
        below = cut.items.get(section)
        if isinstance(below, MapNode):
            cut.items[section] = _cut(below, names, keep=_core_keys(section))
    rules = cut.items.get("guests")
    if isinstance(rules, ListNode):
        items = [
            _cut(rule, names, keep=_core_keys("guests")) if isinstance(rule, MapNode) else rule for rule in rules.items
        ]
        cut.items["guests"] = ListNode(rules.mark, items)
    return cut


def _core_keys(section: str) -> frozenset[str]:
    return frozenset() if section == "plugins" else frozenset({*GuestPolicy.model_fields, "match"})


def _cut(node: MapNode, names: frozenset[str], keep: frozenset[str]) -> MapNode:
    items = {key: item for key, item in node.items.items() if key in keep or key not in names}
    return MapNode(node.mark, items, node.marks)


def _once(details: list[ErrorDetails]) -> Iterator[ErrorDetails]:
    """One error per mistake: a union's branches all complain about one value, a misspelt key is missing as well."""
    seen: set[tuple[int | str, ...]] = set()
    unknown = [detail["loc"] for detail in details if detail["type"] == "extra_forbidden"]
    for detail in details:
        place = tuple(step for step in detail["loc"] if not _is_branch(step))
        misspelt = detail["type"] == "missing" and any(
            other[:-1] == place[:-1] and difflib.get_close_matches(str(other[-1]), [str(place[-1])])
            for other in unknown
        )
        if place not in seen and not misspelt:
            seen.add(place)
            yield detail


def _is_branch(step: int | str) -> bool:
    return isinstance(step, str) and any(sign in step for sign in "[]()")


def _located(model: type[BaseModel], node: MapNode, detail: ErrorDetails) -> Located:
    loc = tuple(step for step in detail["loc"] if not _is_branch(step))
    written = as_written(node, loc)
    mark = locate(node, written)
    # The key is what is wrong; what stands behind it may begin lines further down.
    if detail["type"] == "extra_forbidden":
        mark = _key_mark(node, written)
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in written).lstrip(".")
    message, remedy = _message(model, loc, detail)
    text = f"{path}: {message}" if path else message
    return mark, Problem(what="config", where=str(mark), message=text, remedy=remedy)


def _key_mark(node: MapNode, loc: tuple[int | str, ...]) -> Mark:
    parent: Any = node
    for step in loc[:-1]:
        parent = parent.items[step]
    return parent.marks[loc[-1]] if isinstance(parent, MapNode) and loc[-1] in parent.marks else locate(node, loc)


def _message(model: type[BaseModel], loc: tuple[int | str, ...], detail: ErrorDetails) -> tuple[str, str]:
    kind, given = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        known = _keys_at(model, loc[:-1])
        close = difflib.get_close_matches(str(loc[-1]), known, n=1)
        return "unknown key" + (f"; did you mean {close[0]!r}?" if close else ""), f"known here: {', '.join(known)}"
    if kind == "missing":
        return "is missing", ""
    if kind in {"value_error", "assertion_error"}:
        # pydantic writes "Value error, " before whatever a validator of ours says.
        return detail["msg"].split(", ", 1)[1], ""
    expected = _EXPECTED.get(kind)
    if expected is None:
        expected = _lower(detail["msg"]).replace("True", "true").replace("False", "false")
        return f"{expected}, not {given!r}", ""
    # To YAML a guest called 100 is a number, which its owner does not expect.
    hint = "; quote it" if kind == "string_type" and isinstance(given, int | float) else ""
    return f"should be {expected}, not {_shown(given)}{hint}", ""


_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "float_type": "a number",
    "int_type": "a whole number",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "path_type": "a path",
    "string_type": "a text",
    "tuple_type": "a list",
}


def _shown(given: object) -> str:
    if given is None:
        return "null"
    if isinstance(given, dict | list):
        return "a mapping" if isinstance(given, dict) else "a list"
    return repr(given).replace("True", "true").replace("False", "false")  # pyright: ignore[reportUnknownArgumentType]


def _lower(text: str) -> str:
    text = text.removeprefix("Input ")
    return text[:1].lower() + text[1:]


def _keys_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The keys that a model knows at a path, for `did you mean`."""
    return sorted(getattr(model_below(model, loc), "model_fields", {}))


def model_below(model: type[BaseModel], path: tuple[int | str, ...]) -> Any:
    """The type at a path below a model, without `| None`."""
    kind: Any = model
    for step in path:
        kind = _below(kind, step)
    return kind


def _below(kind: Any, step: int | str) -> Any:
    if isinstance(step, int):
        return _unwrapped(typing.get_args(kind)[0]) if typing.get_args(kind) else None
    if isinstance(kind, type) and issubclass(kind, BaseModel) and step in kind.model_fields:
        return _unwrapped(kind.model_fields[step].annotation)
    return _unwrapped(typing.get_args(kind)[1]) if len(typing.get_args(kind)) == 2 else None


def _unwrapped(kind: Any) -> Any:
    """A model behind `Model | None`, or one that is elsewhere."""
    for mark in getattr(kind, "__metadata__", ()):
        if isinstance(mark, Elsewhere):
            return mark.model()
    if typing.get_origin(kind) in {typing.Union, types.UnionType}:
        return next((part for part in typing.get_args(kind) if part is not type(None)), None)
    return kind


def unknown_steps(settings: Settings) -> list[tuple[str, str]]:
    """Ladder steps that no plugin provides, as (path, method)."""
    policies = [("defaults", settings.defaults), *((f"guests[{i}]", rule) for i, rule in enumerate(settings.guests))]
    ladders = [(f"{path}.stop", policy.stop) for path, policy in policies]
    ladders += [(f"{path}.last_resort", policy.last_resort) for path, policy in policies]
    return [
        (f"{path}[{at}]", step.chosen[0])
        for path, ladder in ladders
        for at, step in enumerate(ladder)
        if _unknown(step)
    ]


def _unknown(step: LadderStep) -> bool:
    return bool(step.model_extra)
