"""Text as troff takes it: nothing that somebody has written is a request, an escape or typography by accident."""

import re
from collections.abc import Iterator

_LONGEST = 78  # characters of a line of source, for whoever reads it, and for mandoc
_CODE = re.compile(r"`([^`]+)`")
_SPECIAL = {"\\": "\\e", "-": "\\-", "'": "\\(aq", '"': "\\(dq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"}


def escaped(text: str) -> str:
    """Words on a line, as they are: what is copied from the page works. Any white space is one space."""
    plain = "".join(_SPECIAL.get(one) or _character(one) for one in " ".join(text.split()))
    return _no_request(plain)


def paragraph(text: str) -> Iterator[str]:
    """Lines of running text; what stands between backticks is bold."""
    marked = _CODE.sub("\0\\1\1", " ".join(text.split()))
    whole = "".join(_MARKS.get(one) or _SPECIAL.get(one) or _character(one) for one in marked)
    line = ""
    for word in whole.split(" "):
        if line and len(line) + 1 + len(word) > _LONGEST:
            yield _no_request(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    if line:
        yield _no_request(line)


def paragraphs(text: str) -> Iterator[str]:
    """The same for several, with empty lines between them; the first one stands without a request for it."""
    for index, part in enumerate(re.split(r"\n\s*\n", text.replace("\b", "").strip())):
        if index:
            yield ".PP"
        yield from paragraph(part)


def verbatim(text: str) -> Iterator[str]:
    """Lines as they are, indented."""
    yield from (".RS 4", ".nf")
    for line in text.splitlines():
        plain = "".join(_SPECIAL.get(one) or _character(one) for one in line)
        yield _no_request(plain) if plain else "\\&"
    yield from (".fi", ".RE")


def item(tag: str, text: str) -> Iterator[str]:
    """A term in bold, and what it means."""
    yield from (".TP", f".B {escaped(tag)}")
    yield from list(paragraph(text)) or ["\\&"]


def title(name: str, section: int, date: str, source: str, manual: str) -> str:
    """The page's first line."""
    # The date as it is: with its hyphens escaped, mandoc takes it for none.
    return f'.TH {escaped(name.upper())} {section} {date} "{escaped(source)}" "{escaped(manual)}"'


_MARKS = {"\0": "\\fB", "\1": "\\fP"}


def _character(one: str) -> str:
    return one if one.isascii() else f"\\[u{ord(one):04X}]"


def _no_request(line: str) -> str:
    # A line that begins so is a request, which troff does or drops; an apostrophe is none any more.
    return f"\\&{line}" if line.startswith(".") else line
