"""How many cells of a terminal a text takes: two for a Chinese letter or an emoji, none for an accent.

By Python's own tables, which tell as well what may be shown at all (`visible`): a sign that is newer than they are is
escaped there, and never measured here. What is measured is text that has passed that door.
"""

from collections.abc import Iterable, Iterator

CUT = "…"
_LEAST = 8  # cells of a name before an end that is kept
_JOINER, _AS_EMOJI = "\u200d", "\ufe0f"
_WIDE = frozenset("WF")
_NO_CELL = frozenset({"Mn", "Me", "Cf"})
_LATER = (("\u1160", "\u11ff"), ("\ud7b0", "\ud7fb"))  # vowels and last letters of Korean


def cell_width(text: str) -> int:
    """The cells that a line of visible text takes."""
    return len(text) if text.isascii() else sum(width for _, width in signs(text))


def signs(text: str) -> Iterator[tuple[str, int]]:
    """What a reader takes for one sign, with its cells: a letter with its accents, a family of emoji, a flag."""
    sign, width = "", 0
    for letter in text:
        if sign and _belongs(letter, sign):
            sign += letter
            width = 2 if letter == _AS_EMOJI and not sign[0].isalpha() else width
        else:
            if sign:
                yield sign, width
            sign, width = letter, _letter_width(letter)
    if sign:
        yield sign, width


def cut_middle(text: str, width: int, kept: str = "") -> str:
    """The text in at most `width` cells: where it is longer, its beginning and its end, in which names differ.

    `kept`: an end that is never cut; what is before it keeps some cells even where both are more than `width`.
    """
    if cell_width(text) <= width:
        return text
    if kept:
        return cut_middle(text.removesuffix(kept), max(_LEAST, width - cell_width(kept))) + kept
    room = max(0, width - 1)
    end = _within(reversed(list(signs(text))), room // 2)
    return "".join((*_within(signs(text), room - room // 2), CUT, *reversed(end)))


def wrapped(text: str, width: int) -> list[str]:
    """The text broken at blanks into lines of at most `width` cells; a word that is longer is broken, too."""
    if cell_width(text) <= width:
        return [text]
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_width(joined) <= width:
            lines[-1] = joined
        else:
            lines += _broken(word, width)
    return [line for line in lines if line]


def _broken(word: str, width: int) -> list[str]:
    """The parts of a word, each as long as there is room."""
    parts, left = [""], width
    for sign, cells in signs(word):
        if cells > left and parts[-1]:
            parts.append("")
            left = width
        parts[-1] += sign
        left -= cells
    return parts


def _within(found: Iterable[tuple[str, int]], room: int) -> list[str]:
    """As many of the signs as have room."""
    kept = list[str]()
    for sign, width in found:
        room -= width
        if room < 0:
            break
        kept.append(sign)
    return kept


def _belongs(letter: str, sign: str) -> bool:
    if _letter_width(letter) == 0 or _is_skin_tone(letter):
        return True
    if _is_flag(letter):
        return len(sign) == 1 and _is_flag(sign)
    return sign[-1] == _JOINER and _is_picture(sign[0]) and _is_picture(letter)


def _letter_width(letter: str) -> int:
    if letter.isascii():
        return 1
    from unicodedata import category, east_asian_width  # here: hardly any text needs it

    # Of a Korean syllable that is written in parts the first one has the cells; a hyphen for breaks shows as one.
    if (category(letter) in _NO_CELL and letter != "\xad") or any(first <= letter <= last for first, last in _LATER):
        return 0
    return 2 if east_asian_width(letter) in _WIDE or _is_flag(letter) else 1


def _is_picture(letter: str) -> bool:
    from unicodedata import category

    return category(letter) == "So"


def _is_skin_tone(letter: str) -> bool:
    return "\U0001f3fb" <= letter <= "\U0001f3ff"


def _is_flag(letter: str) -> bool:
    """Whether it is one of the two letters of which a flag is made."""
    return "\U0001f1e6" <= letter <= "\U0001f1ff"
