"""YAML as nodes that know their file, line and column.

Only `true`, `false`, `null` and decimal numbers are special words: YAML 1.1 would turn `on` into True, `1:30` into 90
and `0755` into 493, none of which anybody means in a configuration.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml

from lastcall.errors import Problem

_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.[0-9]+)?$")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_STRING = "tag:yaml.org,2002:str"
_UNDECIDED = ""


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in a file; line and column count from 1."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(slots=True)
class Scalar:
    """A single value."""

    mark: Mark
    value: bool | int | float | str | None


@dataclass(slots=True)
class ListNode:
    """A list."""

    mark: Mark
    items: "list[Node]" = field(default_factory=list)


@dataclass(slots=True)
class MapNode:
    """A mapping; `marks` are the places of its keys."""

    mark: Mark
    items: "dict[str, Node]" = field(default_factory=dict)
    marks: dict[str, Mark] = field(default_factory=dict)


Node: TypeAlias = Scalar | ListNode | MapNode


_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # with libyaml a thousand rules are read ten times faster


class _Loader(_Base):
    """Leaves every plain word undecided, so that `_scalar` alone decides what is special."""

    yaml_implicit_resolvers = {}  # noqa: RUF012  PyYAML's way of declaring them

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: tuple[bool, bool] | bool) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]  # the stub types `implicit` wrongly
        # Only here is it still known whether a word stood in quotes: "90" is a text, and 90 is a number.
        if kind is yaml.ScalarNode and isinstance(implicit, tuple) and implicit[0]:
            return _UNDECIDED
        return _STRING if kind is yaml.ScalarNode else ""


class Reader:
    """Turns one file's text into nodes and collects what is wrong with it."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[tuple[Mark, Problem]] = []

    def read(self, text: str) -> Node:
        """Return the document's node; an empty document is an empty mapping. Problems are collected, not raised."""
        empty = MapNode(Mark(self.file))
        try:
            # compose and not load: only nodes know their lines, and every message about the configuration names one.
            documents = list(yaml.compose_all(text, Loader=_Loader))
        except yaml.MarkedYAMLError as error:
            where = error.problem_mark or error.context_mark
            self._problem(self._mark(where), f"not valid YAML: {error.problem or error.context}")
            return empty
        except yaml.YAMLError as error:
            self._problem(Mark(self.file), f"not valid YAML: {str(error).splitlines()[0]}")
            return empty
        # Some thousand opening brackets end in this, which is no YAMLError and would count as a bug of ours.
        except RecursionError:
            self._problem(Mark(self.file), "not valid YAML: nested too deeply")
            return empty
        if len(documents) > 1:
            self._problem(self._mark(documents[1].start_mark), "a second YAML document ('---'); one file holds one")
        if not documents:
            return empty
        node = self._node(documents[0], ())
        return empty if isinstance(node, Scalar) and node.value is None else node

    def _node(self, node: yaml.Node, above: tuple[yaml.Node, ...]) -> Node:
        mark = self._mark(node.start_mark)
        # Whoever walks down an alias that contains itself never comes to an end.
        if any(node is ancestor for ancestor in above):
            self._problem(mark, "an alias (*) to something that contains it")
            return Scalar(mark, None)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, (*above, node))
        if isinstance(node, yaml.SequenceNode):
            return ListNode(mark, [self._node(item, (*above, node)) for item in node.value])
        assert isinstance(node, yaml.ScalarNode)  # noqa: S101  compose makes these three kinds only
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, above: tuple[yaml.Node, ...]) -> MapNode:
        result = MapNode(self._mark(node.start_mark))
        for key_node, value_node in node.value:
            mark = self._mark(key_node.start_mark)
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(mark, "a key has to be a word")
                continue
            key = str(key_node.value)
            # PyYAML takes the last one and says nothing.
            if key in result.items:
                self._problem(mark, f"{key}: given twice; first at line {result.marks[key].line}")
                continue
            result.items[key] = self._node(value_node, above)
            result.marks[key] = mark
        return result

    def _scalar(self, node: yaml.ScalarNode) -> Scalar:
        mark = self._mark(node.start_mark)
        text = str(node.value)
        if node.tag == _STRING:
            return Scalar(mark, text)
        if node.tag != _UNDECIDED:
            self._problem(mark, f"the YAML tag {node.tag} is not used here")
            return Scalar(mark, text)
        if text in _WORDS:
            return Scalar(mark, _WORDS[text])
        if _NUMBER.match(text):
            return Scalar(mark, float(text) if "." in text else int(text))
        return Scalar(mark, text)

    def _mark(self, mark: yaml.Mark | None) -> Mark:
        return Mark(self.file, mark.line + 1, mark.column + 1) if mark else Mark(self.file)

    def _problem(self, mark: Mark, message: str) -> None:
        self.problems.append((mark, Problem(what="config", where=str(mark), message=message)))


def plain(node: Node) -> object:
    """The values without their places."""
    if isinstance(node, MapNode):
        return {key: plain(item) for key, item in node.items.items()}
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    return node.value


def locate(node: Node, path: tuple[int | str, ...]) -> Mark:
    """Find the place that a validation error's path names; steps that name no node (union branches) are passed over."""
    mark = node.mark
    for step in path:
        if isinstance(node, MapNode) and step in node.items:
            mark = node.marks[str(step)]
            node = node.items[str(step)]
            # The place of the value, unless there is none: `timeout:` with nothing behind it is found by its key.
            mark = node.mark if isinstance(node, Scalar) and node.value is not None else mark
        elif isinstance(node, ListNode) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
            mark = node.mark
    return mark


def as_written(node: Node, path: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """The path without the steps of a long form that the document, which has the short form, does not name."""
    kept: list[int | str] = []
    at: Node | None = node
    for step in path:
        # A list stands there without its key, one item without its list, and of a text only the word itself.
        if isinstance(at, Scalar) and step != at.value:
            continue
        if isinstance(at, ListNode | MapNode) and isinstance(at, MapNode) != isinstance(step, str):
            continue
        kept.append(step)
        items: Any = getattr(at, "items", {})
        if isinstance(at, MapNode):
            at = items.get(step)
        elif isinstance(at, ListNode) and isinstance(step, int) and step < len(items):
            at = items[step]
    return tuple(kept)


def walk(node: Node) -> Iterator[Node]:
    """Every node, parents first."""
    yield node
    children = node.items.values() if isinstance(node, MapNode) else node.items if isinstance(node, ListNode) else ()
    for child in children:
        yield from walk(child)


def merge(base: MapNode, over: MapNode, *, path: tuple[str, ...] = ()) -> MapNode:
    """Lay one file over another: mappings merge, the top-level `guests` appends, everything else is replaced."""
    merged = MapNode(base.mark, dict(base.items), dict(base.marks))
    for key, node in over.items.items():
        below = merged.items.get(key)
        if isinstance(below, MapNode) and isinstance(node, MapNode):
            node = merge(below, node, path=(*path, key))  # noqa: PLW2901  the merged node takes its place
        # Replaced like other lists, one rule in conf.d would make all rules of the main file vanish without a word.
        elif not path and key == "guests" and isinstance(below, ListNode) and isinstance(node, ListNode):
            node = ListNode(below.mark, [*below.items, *node.items])  # noqa: PLW2901
        merged.items[key] = node
        merged.marks[key] = over.marks[key]
    return merged
