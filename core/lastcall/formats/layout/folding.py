"""Many names in few words: `db-* (40), web-1, web-2`."""

import re
from collections.abc import Iterable, Sequence

from lastcall.formats.layout.natural import natural_key
from lastcall.formats.layout.screen import PLAIN, Screen

_NUMBER = re.compile(r"([0-9]+)")
_ALIKE = 4  # names that differ in numbers alone; fewer are as short as what would stand for them
_MOST = 12  # words of a list; who wants to know them all asks for them


def fold_names(names: Iterable[str], screen: Screen = PLAIN) -> str:
    """The names in the order in which people count, those that differ in numbers alone as one; in a pipe, each."""
    ordered = sorted(names, key=natural_key)
    if not screen.cuts:
        return ", ".join(ordered)
    families = dict[tuple[str, ...], list[str]]()
    for name in ordered:
        families.setdefault(tuple(_NUMBER.split(name)[::2]), []).append(name)
    words = list[str]()
    for family in families.values():
        words += [_pattern(family)] if len(family) >= _ALIKE else family
    words.sort(key=natural_key)
    more = [f"and {len(words) - _MOST + 1} more"] if len(words) > _MOST else []
    return ", ".join([*words[: _MOST - 1], *more] if more else words)


def _pattern(family: Sequence[str]) -> str:
    """What they have in common, with a star for each number in which they differ."""
    columns = zip(*map(_NUMBER.split, family), strict=True)
    return "".join("*" if len(set(parts)) > 1 else parts[0] for parts in columns) + f" ({len(family)})"
