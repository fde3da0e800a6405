"""A YAML document as nodes that know their file, line and column."""

from dataclasses import field
from typing import Any, TypeAlias, cast

from lastcall.formats.values import changing, value

MISTAKES = 1000  # that are told of one file; nobody reads on


@value
class Mark:
    """A place in a file; line and column count from 1."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def __lt__(self, other: "Mark") -> bool:
        return (self.file, self.line, self.column) < (other.file, other.line, other.column)


@changing
class Scalar:
    """A single value."""

    mark: Mark
    value: bool | int | float | str | None


@changing
class ListNode:
    """A list."""

    mark: Mark
    items: "list[Node]" = field(default_factory=list)


@changing
class MapNode:
    """A mapping; `marks` are the places of its keys."""

    mark: Mark
    items: "dict[str, Node]" = field(default_factory=dict)
    marks: dict[str, Mark] = field(default_factory=dict)


Node: TypeAlias = Scalar | ListNode | MapNode
NodePath: TypeAlias = tuple[int | str, ...]
"""Keys and indices on the way down to a node."""


def mark_at(file: str, before: str) -> Mark:
    """The place in a file behind this text."""
    return Mark(file, before.count("\n") + 1, len(before) - before.rfind("\n"))


def path_text(path: NodePath) -> str:
    """A path as people write it: `guests[2].match`."""
    return "".join(f"[{step}]" if isinstance(step, int) else "." + (step or "''") for step in path).lstrip(".")


def plain(node: Node) -> object:
    """The values without their places."""
    if isinstance(node, MapNode):
        return {key: plain(item) for key, item in node.items.items()}
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    return node.value


def node_of(value: object, mark: Mark) -> Node:
    """Plain values as nodes, all of one place."""
    if isinstance(value, dict):
        items = {str(key): node_of(item, mark) for key, item in cast("dict[Any, Any]", value).items()}
        return MapNode(mark, items, dict.fromkeys(items, mark))
    if isinstance(value, list):
        return ListNode(mark, [node_of(item, mark) for item in cast("list[Any]", value)])
    return Scalar(mark, cast("bool | int | float | str | None", value))


def locate(node: Node, path: NodePath, *, key: bool = False) -> Mark:
    """Find the place of what stands at a path, or of its key; steps that name no node are passed over."""
    mark = node.mark
    for step in path:
        if isinstance(node, MapNode) and step in node.items:
            mark = node.marks[str(step)]
            node = node.items[str(step)]
            # The place of the value, unless there is none: `timeout:` with nothing behind it is found by its key.
            has_place = isinstance(node, Scalar) and node.value is not None
            mark = node.mark if has_place and not (key and step is path[-1]) else mark
        elif isinstance(node, ListNode) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
            mark = node.mark
    return mark


def as_written(node: Node, path: NodePath, *, missing: bool = False) -> NodePath:
    """The path without the steps that the document does not name: those of a long form where it has the short one, and
    the branches of a union. `missing`: the last step is a key that ought to be there.
    """
    kept: list[int | str] = []
    at: Node | None = node
    for index, step in enumerate(path):
        ought_to_be = missing and index == len(path) - 1
        if isinstance(at, MapNode):
            if step not in at.items and not ought_to_be:
                continue
            at = at.items.get(str(step))
        elif isinstance(at, ListNode):
            if not isinstance(step, int) or step >= len(at.items):
                continue
            at = at.items[step]
        elif isinstance(at, Scalar) and not ought_to_be:
            # A text stands there without its key, and of what it is the short form of it is the only word.
            if step != at.value:
                continue
            at = None
        kept.append(step)
    return tuple(kept)


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
