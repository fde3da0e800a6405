"""Many names in few words: `db-* (40), web-1, web-2`."""

import re
from collections.abc import Iterable, Sequence

from lastcall.formats.layout.cells import cell_width, cut_middle
from lastcall.formats.layout.natural import natural_key
from lastcall.formats.layout.screen import PLAIN, Screen
from lastcall.formats.visible_text import visible

_NUMBER = re.compile(r"([0-9]+)")
_ALIKE = 4  # names that differ in numbers alone; fewer are as short as what would stand for them
_LONGEST = 30  # cells of a word at the beginning of a line
_MOST = 12  # words of a list; who wants to know them all asks for them


def fold_names(names: Iterable[str], screen: Screen = PLAIN) -> str:
    """The names in the order in which people count, those that differ in numbers alone as one; in a pipe, each."""
    ordered = sorted(names, key=natural_key)
    if not screen.cuts:
        return ", ".join(ordered)
    words = _words(ordered)
    more = [f"and {len(words) - _MOST + 1} more"] if len(words) > _MOST else []
    return ", ".join([*words[: _MOST - 1], *more] if more else words)


def fold_names_into(names: Sequence[str], screen: Screen, room: int) -> str:
    """The same in at most `room` cells, for the beginning of a line; one name at least, and how many they all are where
    some are left out: `db-* (40), mail … (60)`.
    """
    if not screen.cuts:
        return fold_names(names, screen)
    words = [cut_middle(visible(word), _LONGEST) for word in _words(sorted(names, key=natural_key))]
    told, all_of_them = words[0], f" … ({len(names)})"
    for at, word in enumerate(words[1:], 2):
        longer = f"{told}, {word}"
        if cell_width(longer) + (len(all_of_them) if at < len(words) else 0) > room:
            return told + all_of_them
        told = longer
    return told


def _words(ordered: Iterable[str]) -> list[str]:
    """A word for each name, or for each family of names."""
    families = dict[tuple[str, ...], list[str]]()
    for name in ordered:
        families.setdefault(tuple(_NUMBER.split(name)[::2]), []).append(name)
    words = list[str]()
    for family in families.values():
        words += [_pattern(family)] if len(family) >= _ALIKE else family
    return sorted(words, key=natural_key)


def _pattern(family: Sequence[str]) -> str:
    """What they have in common, with a star for each number in which they differ."""
    columns = zip(*map(_NUMBER.split, family), strict=True)
    return "".join("*" if len(set(parts)) > 1 else parts[0] for parts in columns) + f" ({len(family)})"
