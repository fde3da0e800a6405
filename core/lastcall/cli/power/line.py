"""What is said of the power through the socket: one line, of one word and perhaps the name of a UPS."""

import re

from lastcall.api.power import PowerWord
from lastcall.formats.nearest import did_you_mean
from lastcall.formats.values import value

LONGEST = 64  # bytes of a line, its end included
WORDS = tuple(word.value for word in PowerWord)
_NAMED = f"{', '.join(WORDS[:-1])} or {WORDS[-1]}"
# As NUT names them: ups@localhost:3493, ups@[::1]. Nothing that a shell, a terminal or a file name would heed.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@\[\]-]*")
_LONGEST_NAME = LONGEST - len(f"{max(WORDS, key=len)} \n")


@value(frozen=True)
class SpokenWord:
    """What somebody says of a UPS; `supply` is "" where none is named."""

    word: PowerWord
    supply: str = ""

    def line(self) -> bytes:
        """As it goes through the socket."""
        return f"{self.word.value}{' ' if self.supply else ''}{self.supply}\n".encode("ascii")

    def __str__(self) -> str:
        return f"{self.supply or 'the power'}: {self.word.value}"


def spoken_word(line: bytes) -> SpokenWord:
    """What a line says, its end included; raises ValueError, which says why it is refused and repeats nothing of it."""
    if len(line) > LONGEST:
        raise ValueError(f"a line has at most {LONGEST} bytes")
    if not line.endswith(b"\n"):
        raise ValueError("the line does not end")
    if line.count(b"\n") > 1:
        raise ValueError("more than one line")
    try:
        text = line[:-1].decode("ascii")
    except UnicodeDecodeError:
        raise ValueError("no plain text") from None
    if not text.isprintable():
        raise ValueError("no plain text")
    word, space, name = text.partition(" ")
    if word not in WORDS:
        raise ValueError(f"the word has to be {_NAMED}")
    return SpokenWord(PowerWord(word), supply_name(name) if space else "")


def known_word(text: str) -> PowerWord:
    """The word; raises ValueError, which names all of them."""
    if text not in WORDS:
        raise ValueError(f"{text!r} says nothing of the power: it is {_NAMED}{did_you_mean(text, WORDS)}")
    return PowerWord(text)


def supply_name(text: str) -> str:
    """The same text; raises ValueError where no UPS is called so."""
    if len(text) > _LONGEST_NAME or not _NAME.fullmatch(text):
        raise ValueError(f"the name of a UPS is such as ups@localhost, of at most {_LONGEST_NAME} characters")
    return text
