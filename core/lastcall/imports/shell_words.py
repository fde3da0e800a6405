"""The words and operators of a shell's text, as sh takes it apart; nothing of it is run.

Where shells differ, or what is written cannot be followed with certainty, `Lost` is raised: misread, a quotation mark
or a parenthesis would make settings of what is text, or the other way round.
"""

import enum
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

from lastcall.formats.values import value


class PartKind(enum.Enum):
    """What a piece of a word is: literal, or something that a shell would have to put in."""

    PLAIN = enum.auto()
    QUOTED = enum.auto()
    VARIABLE = enum.auto()
    QUOTED_VARIABLE = enum.auto()
    UNKNOWN = enum.auto()


@value
class Part:
    """A piece of a word: its literal text, the variable's name, or what is not known, as it is written."""

    kind: PartKind
    text: str = ""


@value
class ShellWord:
    """One word. `line` is where it begins; `start` and `end` are its place in the text."""

    line: int
    start: int
    end: int
    parts: tuple[Part, ...]

    @property
    def plain(self) -> str:
        """Its text where it is bare of quotes and expansions, as keywords and names have to be; else nothing."""
        return self.parts[0].text if [part.kind for part in self.parts] == [PartKind.PLAIN] else ""


@value
class Operator:
    """One operator; the end of a line is one, too."""

    line: int
    start: int
    end: int
    text: str


Token = ShellWord | Operator


class Lost(Exception):
    """From here on nobody knows what a shell would read; `str()` says why."""


UNCLOSED = "a quotation mark is not closed"
_MOST_NESTED = 20  # substitutions in substitutions
_BLANKS = re.compile(r"(?:[ \t]|\\\n)*(?:#[^\n]*)?")
_OPERATOR = re.compile(r";;|&&|\|\||<<|<&|>&|<>|>>|>\||[\n;&|<>()]")
_ENDS_WORD = frozenset(" \t\n;&|<>()")
_BARE = re.compile(r"[^ \t\n;&|<>()\\'\"`$]+")
_IN_DOUBLE = re.compile(r'[^"\\`$]+')
_BACKTICKS = re.compile(r"`(?:[^`\\]|\\.)*`", re.DOTALL)
_NAME = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*)")
# Of `${NAME:-word}` and its like only what holds neither quotes nor another expansion: shells differ in the rest.
_BRACES = re.compile(r"\{[^{}'\"`\\$\n]*\}")
_SPECIAL = frozenset("0123456789@*#?!-$")


@dataclass(slots=True)
class ShellWords:
    """Takes a text apart, token by token, in one pass. `began`: line and place of the latest token, also of one that
    could not be read to its end.
    """

    text: str
    position: int = 0
    line: int = 1
    began: tuple[int, int] = (1, 0)
    _parts: list[Part] = field(default_factory=list[Part])
    _nested: int = 0

    def take(self) -> Token | None:
        """The next token; None at the end of the text. Raises Lost."""
        blanks = _BLANKS.match(self.text, self.position)
        self._pass(blanks.end() if blanks else self.position)
        start, line = self.position, self.line
        if not self._nested:
            self.began = line, start
        if start == len(self.text):
            return None
        found = _OPERATOR.match(self.text, start)
        if found is None:
            return self._word(start, line)
        if found[0] == "<<":
            raise Lost("what stands behind << is text up to a line of its own")
        self._pass(found.end())
        return Operator(line, start, self.position, found[0])

    def _word(self, start: int, line: int) -> ShellWord:
        outer, self._parts = self._parts, []
        while self.position < len(self.text) and self.text[self.position] not in _ENDS_WORD:
            self._piece()
        parts, self._parts = self._parts, outer
        return ShellWord(line, start, self.position, tuple(_joined(parts)))

    def _piece(self) -> None:
        """One piece of a word that is not within double quotes."""
        character = self.text[self.position]
        if character == "\\":
            self._escaped()
        elif character == "'":
            end = self.text.find("'", self.position + 1)
            if end < 0:
                raise Lost(UNCLOSED)
            self._add(PartKind.QUOTED, self.text[self.position + 1 : end], end + 1)
        elif character == '"':
            self._double_quoted()
        elif character == "`":
            self._backticks()
        elif character == "$":
            self._dollar(quoted=False)
        else:
            self._add(PartKind.PLAIN, *self._run(_BARE))

    def _escaped(self) -> None:
        escaped = self.text[self.position + 1 : self.position + 2]
        if escaped == "\n":  # a line that goes on: it leaves nothing behind
            self._pass(self.position + 2)
        else:
            self._add(PartKind.QUOTED, escaped or "\\", self.position + 1 + len(escaped))

    def _double_quoted(self) -> None:
        self._add(PartKind.QUOTED, "", self.position + 1)
        while True:
            following = self.text[self.position : self.position + 2]
            if not following:
                raise Lost(UNCLOSED)
            if following[0] == '"':
                self._pass(self.position + 1)
                return
            if following == "\\\n":
                self._pass(self.position + 2)
            elif following[0] == "\\":
                # Before anything else a backslash between double quotes is a backslash.
                kept = following[1:] if following[1:] in {"$", "`", '"', "\\"} else following
                self._add(PartKind.QUOTED, kept, self.position + len(following))
            elif following[0] == "`":
                self._backticks()
            elif following[0] == "$":
                self._dollar(quoted=True)
            else:
                self._add(PartKind.QUOTED, *self._run(_IN_DOUBLE))

    def _backticks(self) -> None:
        found = _BACKTICKS.match(self.text, self.position)
        if found is None:
            raise Lost("a backtick is not closed")
        self._unknown(self.position, found.end())

    def _dollar(self, *, quoted: bool) -> None:
        after, behind = self.position + 1, self.text[self.position + 1 : self.position + 2]
        name, braces = _NAME.match(self.text, after), _BRACES.match(self.text, after)
        if name:
            kind = PartKind.QUOTED_VARIABLE if quoted else PartKind.VARIABLE
            self._add(kind, name[1] or name[2], name.end())
        elif behind == "(":
            self._substitution(after + 1)
        elif braces:
            self._unknown(self.position, braces.end())
        elif behind in {"{", "[", "\\"} or (behind == "'" and not quoted):
            raise Lost(f"${behind} is read in one way by one shell, and in another by another")
        elif behind in _SPECIAL:
            self._unknown(self.position, after + 1)
        elif behind == '"' and not quoted:
            self._unknown(self.position, after)
        else:
            self._add(PartKind.QUOTED if quoted else PartKind.PLAIN, "$", after)

    def _substitution(self, inside: int) -> None:
        """`$(…)`: what is in it is passed over, and told from what comes after it."""
        self._nested += 1
        if self._nested > _MOST_NESTED:
            raise Lost("commands are nested too deeply")
        start, depth = self.position, 1
        self._pass(inside)
        while depth:
            token = self.take()
            if token is None:
                raise Lost("a parenthesis is not closed")
            if isinstance(token, Operator):
                depth += {"(": 1, ")": -1}.get(token.text, 0)
            elif token.plain == "case":
                raise Lost("the parentheses of case come alone")
        self._nested -= 1
        self._unknown(start, self.position)

    def _unknown(self, start: int, end: int) -> None:
        self._add(PartKind.UNKNOWN, self.text[start:end], end)

    def _run(self, pattern: re.Pattern[str]) -> tuple[str, int]:
        found = pattern.match(self.text, self.position)
        end = found.end() if found else self.position + 1
        return self.text[self.position : end], end

    def _add(self, kind: PartKind, text: str, end: int) -> None:
        self._parts.append(Part(kind, text))
        self._pass(end)

    def _pass(self, end: int) -> None:
        self.line += self.text.count("\n", self.position, end)
        self.position = end


def _joined(parts: Iterable[Part]) -> Iterator[Part]:
    """Bare neighbours are one: a line that goes on may cut a name in two."""
    for kind, same in groupby(parts, key=lambda part: part.kind):
        if kind is PartKind.PLAIN:
            yield Part(kind, "".join(part.text for part in same))
        else:
            yield from same
