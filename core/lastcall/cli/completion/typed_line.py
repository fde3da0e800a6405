"""A half-written command line as bash has it: its words, and what of the last one is replaced, in which quotes."""

from lastcall.formats.values import value

_BREAKS = frozenset("=:<>|&;()")  # where bash begins a new word for a completion, besides at blanks and quotes
_SAFE = frozenset("@%+=:,./-_")
_IN_DOUBLE = frozenset('\\"$`')


@value(kw_only=True)
class TypedLine:
    """`words` before the one that is being written, which says `last` so far. Bash replaces what of it comes after the
    last break: `kept` is that as it was typed, and within an open `quote` what comes after `replaced` letters.
    """

    words: tuple[str, ...]
    last: str
    kept: str
    replaced: int
    quote: str

    def reply(self, name: str) -> str:
        """What bash is to put in the place of what it takes for the word, for a name that begins with `last`."""
        if self.quote:
            return _in_quotes(name[self.replaced :], self.quote)
        return self.kept + _bare(name[len(self.last) :], first=not self.last)


def parse_line(line: str) -> TypedLine:
    """Read it as far as bash does: quotes, backslashes and blanks; nothing is expanded."""
    words, word, raw, quote = list[str](), "", "", ""
    begun, escaped, kept_from, before_quote = False, False, 0, 0
    for letter in line:
        if escaped:
            word += letter if not quote or letter in _IN_DOUBLE else f"\\{letter}"
            escaped = False
        elif quote:
            if letter == quote:
                quote = ""
            elif letter == "\\" and quote == '"':
                escaped = True
            else:
                word += letter
        elif letter in " \t\n":
            words += [word] if begun else []
            word, raw, begun, kept_from = "", "", False, 0
            continue
        elif letter == "\\":
            escaped = True
        elif letter in "'\"":
            quote, before_quote = letter, len(word)
        else:
            word += letter
        begun = True
        raw += letter
        if letter in _BREAKS and not quote and word.endswith(letter) and not raw.endswith(f"\\{letter}"):
            kept_from = len(raw)
    return TypedLine(words=tuple(words), last=word, kept=raw[kept_from:], replaced=before_quote, quote=quote)


def _bare(text: str, *, first: bool) -> str:
    shown = "".join(map(_letter, text))
    return f"\\{shown}" if first and shown.startswith("~") else shown


def _letter(letter: str) -> str:
    if letter == "\n":
        return "$'\\n'"
    return letter if letter.isalnum() or letter in _SAFE or letter == "~" else f"\\{letter}"


def _in_quotes(text: str, quote: str) -> str:
    if quote == "'":
        return text.replace("'", "'\\''")
    return "".join(f"\\{letter}" if letter in _IN_DOUBLE else letter for letter in text)
