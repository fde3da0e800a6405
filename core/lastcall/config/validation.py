"""From nodes to settings: every error at once, each with file, line and column."""

import re
import types
import typing
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lastcall.config.files import Located
from lastcall.config.guest_settings import GuestPolicy
from lastcall.config.nodes import (
    MISTAKES,
    ListNode,
    MapNode,
    Mark,
    Node,
    NodePath,
    as_written,
    locate,
    path_text,
    plain,
)
from lastcall.config.reader import MOST_DIGITS
from lastcall.errors import Problem, in_words
from lastcall.formats.nearest import did_you_mean, nearest
from lastcall.options import Elsewhere
from lastcall.threads.own_code import foreign_place, frames_of
from lastcall.threads.standard_output import lines_of

WIDEST = 80  # characters of a value that are shown
# What other tools call it, which is like no key of ours, or like a wrong one.
_MEANT = {"name": "match", "guest": "match", "domain": "match", "vm": "match", "url": "uri"}
_KEY = ("[key]",)  # the last step of pydantic's where it is the key of a mapping that is wrong
_LONG_NUMBER = re.compile(rf"[-+]?\d{{{MOST_DIGITS + 1},}}(\.\d+)?")


def validate(model: type[BaseModel], node: MapNode) -> tuple[BaseModel | None, list[Located]]:
    """Validate a document; returns (settings, []) or (None, errors sorted by place)."""
    try:
        with lines_of("configuration"):  # validators of plugins may print
            return model.model_validate(plain(node)), []
    except ValidationError as error:
        details = error.errors(include_url=False)
    except Exception as error:  # noqa: BLE001  what a plugin's validator raises is an error in what it judged
        return None, [_unjudged(model, node, error)]
    # Of an unknown key the key is what is wrong; what stands behind it may begin lines further down.
    places = [
        (locate(node, path, key=detail["type"] == "extra_forbidden" or detail["loc"][-1:] == _KEY), path, detail)
        for path, detail in _once(node, details)
    ]
    places.sort(key=lambda place: place[0])
    with lines_of("configuration"):  # what was probably meant is tried with them
        found = [_located(model, *place) for place in places[:MISTAKES]]
    if len(places) > MISTAKES:
        mark, message = places[-1][0], f"{len(places) - MISTAKES} errors more"
        found.append((mark, Problem(what="config", where=str(mark), message=message)))
    return None, found


def _unjudged(model: type[BaseModel], node: MapNode, error: Exception) -> Located:
    """What made a validator raise something else than that a value is wrong."""
    path = _culprit(model, node, lambda whole: whole)
    mark = locate(node, path, key=True)
    where = foreign_place(frames_of(error))
    words = f"{in_words(error)}, {where}" if where else in_words(error)
    message = f"{path_text(path)}: cannot be judged: {words}".removeprefix(": ")
    return mark, Problem(what="config", where=str(mark), message=message, remedy="a bug of the plugin that it is for")


def _culprit(model: type[BaseModel], node: Node, whole: Callable[[Any], Any]) -> NodePath:
    """The path, from `node` on, to what cannot be judged even alone; `whole` makes a document of what is at `node`."""
    steps = node.items.items() if isinstance(node, MapNode) else enumerate(getattr(node, "items", ()))
    for step, child in steps:

        def alone(part: Any, step: int | str = step) -> Any:
            return whole({step: part} if isinstance(node, MapNode) else [part])

        if _cannot_judge(model, alone(plain(child))):
            return (step, *_culprit(model, child, alone))
    return ()


def _cannot_judge(model: type[BaseModel], given: Any) -> bool:
    try:
        model.model_validate(given)
    except ValidationError:
        return False
    except Exception:  # noqa: BLE001  as above
        return True
    return False


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


def _once(node: MapNode, details: list[ErrorDetails]) -> Iterator[tuple[NodePath, ErrorDetails]]:
    """One error per mistake: a union's branches all complain about one value, a misspelt key is missing as well."""
    seen: set[NodePath] = set()
    unknown: dict[NodePath, list[str]] = defaultdict(list)
    paths = [as_written(node, detail["loc"], missing=detail["type"] == "missing") for detail in details]
    for path, detail in zip(paths, details, strict=True):
        if detail["type"] == "extra_forbidden":
            unknown[path[:-1]].append(str(path[-1]))
    for path, detail in zip(paths, details, strict=True):
        misspelt = detail["type"] == "missing" and _is_among(str(path[-1]), unknown.get(path[:-1], ()))
        if path not in seen and not misspelt:
            seen.add(path)
            yield path, detail


def _is_among(key: str, unknown: Sequence[str]) -> bool:
    """Whether a key is missing because it has been written as one that nobody knows."""
    return bool(nearest(key, unknown)) or any(_MEANT.get(word) == key for word in unknown)


def _did_you_mean(word: str, known: Sequence[str]) -> str:
    meant = _MEANT.get(word, "")
    return did_you_mean(meant if meant in known else word, known)


def _located(model: type[BaseModel], mark: Mark, path: NodePath, detail: ErrorDetails) -> Located:
    message, remedy = _message(model, path, detail)
    text = f"{path_text(path)}: {message}" if path else message
    return mark, Problem(what="config", where=str(mark), message=text, remedy=remedy)


def _message(model: type[BaseModel], path: NodePath, detail: ErrorDetails) -> tuple[str, str]:
    kind, given = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        known = sorted(getattr(_model_at(model, detail["loc"][:-1]), "model_fields", {}))
        return f"unknown key{_did_you_mean(str(path[-1]), known)}", f"known here: {', '.join(known)}"
    if kind == "missing":
        return "is missing", ""
    if kind in {"value_error", "assertion_error"}:
        # pydantic writes "Value error, " before whatever a validator of ours says.
        return detail["msg"].partition(", ")[2] or "is not valid", ""
    if kind in _OF_MODELS:
        from lastcall.config.wording.forms import forms_of, key_meant  # here: hardly ever is anything wrong

        at = _model_at(model, detail["loc"])
        return f"should be {forms_of(at)}, not {_shown(given)}{key_meant(at, given, path[-1] if path else '')}", ""
    expected = _EXPECTED.get(kind)
    if expected is None:
        expected = _lower(detail["msg"]).replace("True", "true").replace("False", "false")
        return f"{expected}, not {_clipped(repr(given))}{_word_meant(detail)}", ""
    if kind in _OF_NUMBERS and isinstance(given, str) and _LONG_NUMBER.fullmatch(given):
        expected += f" of at most {MOST_DIGITS} digits"
    # To YAML a guest called 100 is a number, which its owner does not expect.
    hint = "; quote it" if kind == "string_type" and isinstance(given, int | float) else ""
    return f"should be {expected}, not {_shown(given)}{hint}", ""


def _word_meant(detail: ErrorDetails) -> str:
    """The word that was meant, of those that may stand there."""
    words = re.findall(r"'([^']*)'", str(detail.get("ctx", {}).get("expected", "")))
    return did_you_mean(detail["input"], words) if isinstance(detail["input"], str) else ""


_OF_MODELS = frozenset({"model_type", "model_attributes_type"})
_OF_NUMBERS = frozenset({"float_type", "int_type"})
_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "float_type": "a number",
    "int_type": "a whole number",
    "path_type": "a path",
    "string_type": "a text",
    "tuple_type": "a list",
}


def _shown(given: object) -> str:
    if given is None:
        return "null"
    if isinstance(given, dict | list):
        return "a mapping" if isinstance(given, dict) else "a list"
    return _clipped(repr(given)).replace("True", "true").replace("False", "false")  # pyright: ignore[reportUnknownArgumentType]


def _clipped(text: str) -> str:
    return text if len(text) <= WIDEST else f"{text[:WIDEST]}…"


def _lower(text: str) -> str:
    text = text.removeprefix("Input ")
    return text[:1].lower() + text[1:]


def _model_at(model: type[BaseModel], loc: NodePath) -> Any:
    """What is read at the place of an error."""
    kind: Any = model
    for step in loc:
        kind = _below(kind, step) or kind  # branches of a union are no step down
    return kind


def model_below(model: type[BaseModel], path: NodePath) -> Any:
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
