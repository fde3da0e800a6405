"""One file's YAML as nodes, within bounds: whatever the text is, the time is linear in its length.

Only `true`, `false`, `null` and decimal numbers are special words: YAML 1.1 would turn `on` into True, `1:30` into 90
and `0755` into 493, none of which anybody means in a configuration.
"""

import re
from typing import Any, cast

import yaml

from lastcall.config.nodes import MISTAKES, ListNode, MapNode, Mark, Node, Scalar, mark_at, path_text
from lastcall.config.wording.yaml_text import quote_it, yaml_mistake
from lastcall.errors import Problem, in_words
from lastcall.formats.values import value

DEEPEST = 32  # lists and mappings inside of each other; a configuration has some eight
MOST = 100_000  # values in a file, each as often as an alias repeats it; a thousand rules have some 15 000


@value
class YamlBounds:
    """How much a text may hold: `values`, each as often as an alias repeats it, `depth` of lists and mappings inside of
    each other, and whether `aliases` are read at all.
    """

    values: int = MOST
    depth: int = DEEPEST
    aliases: bool = True


FILE = YamlBounds()

# With more digits it is no number that anybody counts with, and of some thousand Python refuses to make one.
MOST_DIGITS = 18
_NUMBER = re.compile(rf"[-+]?(0|[1-9][0-9]{{0,{MOST_DIGITS - 1}}})(\.[0-9]{{1,17}})?")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_TAGS = frozenset({"!", *(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))})
# What no YAML may have in it. The parsers look for it, too, but libyaml counts in bytes where it stands.
_UNACCEPTABLE = "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
_PLAIN = re.compile(r"[\t\n\r\x20-\x7e]*")  # most files; the other pattern takes milliseconds to compile
_MERGE = "<<"  # of YAML 1.1: the keys of another mapping
_ENDS = frozenset({yaml.SequenceEndEvent, yaml.MappingEndEvent})

_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # with libyaml a thousand rules are read ten times faster


class Reader:
    """Turns one file's text into nodes and collects what is wrong with it."""

    def __init__(self, file: str, bounds: YamlBounds = FILE) -> None:
        self.file, self.bounds = file, bounds
        self.problems: list[tuple[Mark, Problem]] = []

    def read(self, text: str) -> Node:
        """Return the document's node; an empty document is an empty mapping. Problems are collected, not raised."""
        empty, remedy = MapNode(Mark(self.file)), ""
        try:
            root = self._read(text)
        except _Refused as refused:
            mark, message, remedy = refused.mark, refused.message, refused.remedy
        except yaml.MarkedYAMLError as error:
            where, told, remedy = yaml_mistake(error, text)
            mark, message = self.mark(where), f"not valid YAML: {told}"
        # The parser that is written in Python stumbles over escapes of characters that do not exist.
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            mark, message = Mark(self.file), f"not valid YAML: {in_words(error)}"
        else:
            return empty if isinstance(root, Scalar) and root.value is None else root
        self._note(mark, message, remedy)
        return empty

    def _read(self, text: str) -> Node:
        odd = None if _PLAIN.fullmatch(text) else re.search(_UNACCEPTABLE, text)
        if odd:
            mark = mark_at(self.file, text[: odd.start()])
            raise _Refused(mark, f"not valid YAML: the character U+{ord(odd.group()):04X} is not allowed")
        builder = _Builder(self)
        # Events, and not the nodes that PyYAML makes of them: to make those it follows brackets and aliases however far
        # they lead.
        parser = _Parser(text)
        try:
            while builder.take(parser.get_event()):
                pass
        finally:
            parser.dispose()
        return builder.root

    def mark(self, mark: yaml.Mark | None) -> Mark:
        """The place, counted from 1."""
        return Mark(self.file, mark.line + 1, mark.column + 1) if mark else Mark(self.file)

    def problem(self, mark: Mark, message: str, remedy: str = "") -> None:
        """Note what is wrong. Raises _Refused where that is too much."""
        if len(self.problems) == MISTAKES:
            raise _Refused(mark, f"more than {MISTAKES} mistakes; the rest is not read")
        self._note(mark, message, remedy)

    def _note(self, mark: Mark, message: str, remedy: str) -> None:
        self.problems.append((mark, Problem(what="config", where=str(mark), message=message, remedy=remedy)))


class _Refused(Exception):
    """The text is read no further."""

    def __init__(self, mark: Mark, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.mark, self.message, self.remedy = mark, message, remedy


class _Collection:
    """A list or mapping that is being read. `before`: values counted before it; `height`: collections inside."""

    __slots__ = ("anchor", "before", "has_key", "height", "key", "node")

    def __init__(self, node: ListNode | MapNode, anchor: str | None, before: int) -> None:
        self.node, self.anchor, self.before = node, anchor, before
        self.height = 0
        self.key: str | None = None  # of the value that comes next; None = that is dropped
        self.has_key = False


@value
class _Anchored:
    """What an alias stands for, how many values that are, and how deep."""

    node: Node
    size: int
    height: int


class _Builder:
    """Makes nodes of the parser's events. Raises _Refused where there are too many of them."""

    def __init__(self, reader: Reader) -> None:
        self._reader, self._bounds = reader, reader.bounds
        self.root: Node = MapNode(Mark(reader.file))
        self._open: list[_Collection] = []
        self._anchors: dict[str, _Anchored | None] = {}  # None: still open
        self._count = self._documents = 0
        self._handlers: dict[type[Any], Any] = {
            yaml.DocumentStartEvent: self._take_document,
            yaml.ScalarEvent: self._take_scalar,
            yaml.AliasEvent: self._take_alias,
            yaml.SequenceStartEvent: self._begin,
            yaml.MappingStartEvent: self._begin,
        }

    def take(self, event: Any) -> bool:
        """Take the next event; returns whether more are to come."""
        kind = cast("type[yaml.Event]", type(event))
        if kind in _ENDS:
            self._end()
        elif kind in self._handlers:
            self._handlers[kind](event, self._reader.mark(event.start_mark))
        return kind is not yaml.StreamEndEvent

    def _take_document(self, _event: Any, mark: Mark) -> None:
        self._documents += 1
        if self._documents > 1:
            raise _Refused(mark, "a second YAML document ('---'); one file holds one")

    def _take_scalar(self, event: Any, mark: Mark) -> None:
        self._count_on(1, mark)
        text, tag = event.value, event.tag
        # The system takes no path, argument or URI with a NUL, and Python raises where it is given one.
        if "\0" in text:
            self._reader.problem(mark, "has a NUL character (\\0) in it")
            text = text.replace("\0", "")
        if tag is not None:
            self._judge_tag(tag, mark)
        # Only the event knows whether a word stood in quotes: "90" is a text, and 90 is a number.
        node = Scalar(mark, _decided(text) if tag is None and event.implicit[0] else text)
        if event.anchor:
            self._anchors[event.anchor] = _Anchored(node, 1, 0)
        top = self._open[-1] if self._open else None
        if top and not top.has_key and isinstance(top.node, MapNode):
            self._take_key(top, top.node, text, mark, plain=tag is None and event.implicit[0])
        else:
            self._put(node, mark)

    def _take_key(self, top: _Collection, node: MapNode, key: str, mark: Mark, *, plain: bool) -> None:
        top.has_key, top.key = True, key
        if plain and key == _MERGE:
            self._reader.problem(mark, f"{self._path_to(key)}: merge keys are not supported", "write out what it adds")
            top.key = None
            return
        # PyYAML takes the last one and says nothing.
        if key in node.marks:
            self._reader.problem(mark, f"{self._path_to(key)}: given twice; first at line {node.marks[key].line}")
            top.key = None
        else:
            node.marks[key] = mark

    def _path_to(self, key: str) -> str:
        """The path of a key of the innermost mapping, as other errors have it."""
        above = (len(one.node.items) if isinstance(one.node, ListNode) else one.key for one in self._open[:-1])
        return path_text((*(step for step in above if step is not None), key))

    def _take_alias(self, event: Any, mark: Mark) -> None:
        if not self._bounds.aliases:
            raise _Refused(mark, "aliases (*) are not read here")
        if event.anchor not in self._anchors:
            said = f"not valid YAML: nothing is called &{event.anchor}, for which *{event.anchor} would stand"
            raise _Refused(mark, said, quote_it(f"*{event.anchor}"))
        meant = self._anchors[event.anchor]
        # Whoever walks down an alias that contains itself never comes to an end.
        if meant is None:
            self._reader.problem(mark, "an alias (*) to something that contains it")
            meant = _Anchored(Scalar(mark, None), 1, 0)
        # Nine lists of nine aliases each are four hundred bytes and half a billion values.
        self._count_on(meant.size, mark)
        self._put(meant.node, mark, meant.height)

    def _begin(self, event: Any, mark: Mark) -> None:
        self._judge_tag(event.tag, mark)
        node = MapNode(mark) if isinstance(event, yaml.MappingStartEvent) else ListNode(mark)
        self._open.append(_Collection(node, event.anchor, self._count))
        self._count_on(1, mark)
        self._dig(0, mark)
        if event.anchor:
            self._anchors[event.anchor] = None

    def _end(self) -> None:
        done = self._open.pop()
        if done.anchor:
            self._anchors[done.anchor] = _Anchored(done.node, self._count - done.before, done.height + 1)
        self._put(done.node, done.node.mark, done.height + 1)

    def _put(self, node: Node, mark: Mark, height: int = 0) -> None:
        """Put a node where it belongs; `height`: the collections that it is made of."""
        if not self._open:
            self.root = node
            return
        top = self._open[-1]
        if height > top.height:
            top.height = height
            self._dig(height, mark)
        if isinstance(top.node, ListNode):
            top.node.items.append(node)
        elif not top.has_key:
            self._reader.problem(mark, "a key has to be a word")
            top.has_key, top.key = True, None
        else:
            if top.key is not None:
                top.node.items[top.key] = node
            top.has_key = False

    def _count_on(self, values: int, mark: Mark) -> None:
        self._count += values
        most, aliases = self._bounds.values, self._bounds.aliases
        if self._count > most:
            raise _Refused(
                mark, f"more than {most} values" + (", with those that aliases (*) repeat" if aliases else "")
            )

    def _dig(self, height: int, mark: Mark) -> None:
        deepest = self._bounds.depth
        if len(self._open) + height > deepest:
            raise _Refused(mark, f"nested too deeply: more than {deepest} lists and mappings inside of each other")

    def _judge_tag(self, tag: str | None, mark: Mark) -> None:
        if tag is not None and tag not in _TAGS:
            self._reader.problem(mark, f"the YAML tag {tag} is not used here", quote_it(tag) if tag[0] == "!" else "")


def _decided(text: str) -> bool | int | float | str | None:
    """What a word without quotes means."""
    if text in _WORDS:
        return _WORDS[text]
    if _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    return text
