"""The lines of a shell's text as sh groups them: which commands stand in each, and which of them it surely runs.

A compound command (if, for, case, a function …) is one line from its first word to its last. The grammar is that of
POSIX; where the text does not follow it, `Lost` is raised, as a shell gives up there as well.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from lastcall.formats.values import value
from lastcall.imports.shell_words import Lost, Operator, ShellWord, ShellWords, Token

_CLOSERS = {"if": "fi", "while": "done", "until": "done", "for": "done", "case": "esac", "{": "}"}
_WITHIN = frozenset({"then", "elif", "else", "do", "fi", "done", "esac", "}"})
# Words of bash and others, which mean something else, or nothing, to dash and busybox.
_FOREIGN = frozenset({"function", "select", "coproc"})
_REDIRECTIONS = frozenset({"<", ">", ">>", "<&", ">&", "<>", ">|"})
_ENDS_FILE = frozenset({"return", "exit", "exec"})
_MOST_NESTED = 50


@value
class ShellCommand:
    """One simple command. `redirected`: some of its words are said to be files."""

    words: tuple[ShellWord, ...]
    redirected: bool = False


@value
class ShellLine:
    """What stands from one end of a line to the next, or to the end of its last compound command.

    `sure`: its commands are run one after the other, once, by the shell itself. `ends_file`: one of them may be the
    last that is run. `failure`: why the text cannot be followed from here on.
    """

    line: int
    text: str
    commands: tuple[ShellCommand, ...] = ()
    sure: bool = True
    ends_file: bool = False
    failure: str = ""


def shell_lines(text: str) -> Iterator[ShellLine]:
    """Line by line; the last one may be one with a failure."""
    yield from _Grammar(ShellWords(text)).lines()


@dataclass(slots=True)
class _Grammar:
    words: ShellWords
    _next: Token | None = None
    _looked: bool = False
    _commands: list[ShellCommand] = field(default_factory=list[ShellCommand])
    _sure: bool = True
    _ends_file: bool = False
    _depth: int = 0
    _functions: int = 0

    def lines(self) -> Iterator[ShellLine]:
        line = start = 0
        try:
            while True:
                line, start = 0, 0
                self._commands, self._sure, self._ends_file = [], True, False
                self._skip_line_ends()
                first = self._peek()
                if first is None:
                    return
                line, start = first.line, first.start
                self._line()
                yield ShellLine(line, self._text(start), tuple(self._commands), self._sure, self._ends_file)
        except Lost as why:
            if not line:  # not even its first word could be read
                line, start = self.words.began
            yield ShellLine(line, self._text(start), sure=False, failure=str(why))

    def _text(self, start: int) -> str:
        """What stands in the line's first line."""
        end = self.words.text.find("\n", start)
        return self.words.text[start : None if end < 0 else end]

    def _line(self) -> None:
        while True:
            self._and_or()
            if self._peek() is None or self._at("\n"):
                return
            if not self._at(";", "&"):
                raise Lost("a shell expects a command to end here")
            self._sure &= not self._at("&")
            self._take()
            if self._peek() is None or self._at("\n"):
                return

    def _and_or(self) -> None:
        self._pipeline()
        while self._at("&&", "||"):
            self._sure = False
            self._take()
            self._skip_line_ends()
            self._pipeline()

    def _pipeline(self) -> None:
        if self._keyword() == "!":
            self._sure = False
            self._take()
        self._command()
        while self._at("|"):
            self._sure = False
            self._take()
            self._skip_line_ends()
            self._command()

    def _command(self) -> None:
        keyword = self._keyword()
        if keyword in _FOREIGN:
            raise Lost(f"{keyword} is no word of sh")
        if keyword in _WITHIN:
            raise Lost(f"{keyword} comes without its beginning")
        if keyword not in _CLOSERS and not self._at("("):
            self._simple()
            return
        self._sure = False
        self._depth += 1
        if self._depth > _MOST_NESTED:
            raise Lost("commands are nested too deeply")
        self._compound(keyword)
        self._depth -= 1
        while self._at(*_REDIRECTIONS):
            self._redirection()

    def _compound(self, keyword: str) -> None:
        self._take()
        if keyword == "case":
            self._case()
        elif keyword == "if":
            self._list("then")
            self._list("elif", "else", "fi")
            while self._keyword("elif"):
                self._take()
                self._list("then")
                self._list("elif", "else", "fi")
            if self._keyword("else"):
                self._take()
                self._list("fi")
        elif keyword == "for":
            self._for()
        elif keyword in {"while", "until"}:
            self._list("do")
            self._list("done")
        elif keyword == "{":
            self._list("}")
        else:
            self._list(")")
            return
        self._require(_CLOSERS[keyword])

    def _for(self) -> None:
        if not isinstance(self._take(), ShellWord):
            raise Lost("for has no variable")
        self._skip_line_ends()
        if self._keyword() == "in":
            self._take()
            while isinstance(self._peek(), ShellWord):
                self._take()
            if not self._at(";", "\n"):
                raise Lost("the words of for do not end")
            self._take()
        elif self._at(";"):
            self._take()
        self._skip_line_ends()
        self._require("do")
        self._list("done")

    def _case(self) -> None:
        if not isinstance(self._take(), ShellWord):
            raise Lost("case has no word")
        self._skip_line_ends()
        self._require("in")
        self._skip_line_ends()
        while self._keyword() != "esac":
            if self._at("("):
                self._take()
            self._pattern()
            while self._at("|"):
                self._take()
                self._pattern()
            if not self._at(")"):
                raise Lost("a pattern of case does not end")
            self._take()
            self._list("esac", ";;", empty=True)
            if self._at(";;"):
                self._take()
            self._skip_line_ends()

    def _pattern(self) -> None:
        if not isinstance(self._take(), ShellWord):
            raise Lost("a pattern of case is missing")

    def _list(self, *ends: str, empty: bool = False) -> None:
        """Commands up to one of these words or operators; `then`, `do` and `)` are taken, the others are left."""
        self._skip_line_ends()
        while not self._is_at_end(ends):
            empty = True
            self._and_or()
            if self._at(";", "&"):
                self._take()
            elif not self._at("\n") and not self._is_at_end(ends):
                raise Lost("a shell expects a command to end here")
            self._skip_line_ends()
        if not empty:
            raise Lost("a shell expects a command here")
        if ends[0] in {"then", "do", ")"}:
            self._take()

    def _is_at_end(self, ends: Collection[str]) -> bool:
        if self._peek() is None:
            raise Lost(f"{' or '.join(ends)} is missing")
        return self._keyword() in ends or self._at(*(end for end in ends if end in {")", ";;"}))

    def _simple(self) -> None:
        words, redirected = list[ShellWord](), False
        while True:
            token = self._peek()
            if self._at(*_REDIRECTIONS):
                redirected = True
                self._redirection()
            elif isinstance(token, ShellWord):
                words.append(token)
                self._take()
            else:
                break
        if self._at("("):
            self._function(words)
        elif not words and not redirected:
            raise Lost("a shell expects a command here")
        elif words:
            # What a function does is done where it is called, if anywhere.
            self._ends_file |= not self._functions and words[0].plain in _ENDS_FILE
            self._commands.append(ShellCommand(tuple(words), redirected))

    def _function(self, words: list[ShellWord]) -> None:
        self._take()
        if len(words) != 1 or not self._at(")"):
            raise Lost("a shell expects no parenthesis here")
        self._take()
        self._sure = False
        self._functions += 1
        self._skip_line_ends()
        self._command()
        self._functions -= 1

    def _redirection(self) -> None:
        self._take()
        if not isinstance(self._take(), ShellWord):
            raise Lost("a shell expects a file here")

    def _require(self, keyword: str) -> None:
        if self._keyword() != keyword:
            raise Lost(f"{keyword} is missing")
        self._take()

    def _keyword(self, *expected: str) -> str:
        """The next word where it is bare of quotes; with `expected`, only if it is one of them."""
        token = self._peek()
        found = token.plain if isinstance(token, ShellWord) else ""
        return found if not expected or found in expected else ""

    def _at(self, *operators: str) -> bool:
        token = self._peek()
        return isinstance(token, Operator) and token.text in operators

    def _skip_line_ends(self) -> None:
        while self._at("\n"):
            self._take()

    def _peek(self) -> Token | None:
        if not self._looked:
            self._next, self._looked = self.words.take(), True
        return self._next

    def _take(self) -> Token | None:
        token = self._peek()
        self._looked = False
        return token
