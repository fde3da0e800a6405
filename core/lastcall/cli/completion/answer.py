"""Answers a shell that asks what may come next: in bounded time, without plugins where one of our own commands is."""

import os
from collections.abc import Callable, Mapping, Sequence

from lastcall.cli.completion.candidates import NextWords, candidates
from lastcall.cli.completion.typed_line import parse_line
from lastcall.errors import ExitCode, LastcallError
from lastcall.formats.visible_text import visible

VARIABLE = "_LASTCALL_COMPLETE"
"""By which a shell's script asks; says which shell."""
LINE = "_LASTCALL_LINE"
"""What bash has of the line up to the cursor: it breaks words where no other shell does."""
Finder = Callable[[Sequence[str], str], NextWords]


def answer_shell(arguments: Sequence[str], find_others: Finder) -> int:
    """Print what may come next. `arguments`: the words after the program's name, the last one half written, behind one
    that is no command: what is being written must never be run. `find_others`: asks plugins; raises LastcallError.
    """
    reply = _SHELLS.get(os.environ.get(VARIABLE, ""))
    if reply is None:
        return ExitCode.NOT_AS_PLANNED
    from lastcall.cli.outlet import say

    try:
        print(reply(arguments[1:], find_others), end="")
    except LastcallError as error:
        say(f"lastcall: {error}")
        return ExitCode.NOT_AS_PLANNED
    return ExitCode.OK


def _find(words: Sequence[str], last: str, find_others: Finder) -> NextWords:
    found = candidates(words, last)
    return find_others(words, last) if found.foreign else found


def _bash(_arguments: Sequence[str], find_others: Finder) -> str:
    """A word of what it is, and each name as it is to be written, between zero bytes."""
    line = parse_line(os.environ.get(LINE, ""))
    found = _find(line.words[1:], line.last, find_others)
    kind = "file" if found.files else "open" if found.open else "plain"
    return "".join(f"{one}\0" for one in (kind, *map(line.reply, found.names)))


def _zsh(arguments: Sequence[str], find_others: Finder) -> str:
    """A word of what it is, then names and what is said of them in turn, between zero bytes."""
    *words, last = arguments or [""]
    found = _find(words, last, find_others)
    kind = "file" if found.files else "open" if found.open else "plain"
    return "".join(f"{one}\0" for one in (kind, *_pairs(found.names)))


def _pairs(names: Mapping[str, str]) -> list[str]:
    shown = {name: f"{visible(name)} -- {said}" if said else visible(name) for name, said in names.items()}
    return [text for pair in shown.items() for text in pair]


def _fish(arguments: Sequence[str], find_others: Finder) -> str:
    """The same as fish wants it: it compares, quotes and cuts by itself."""
    *words, last = arguments or [""]
    # What is half written has its quotes yet: whether it begins a name, fish says. An option has none.
    found = _find(words, last if last.startswith("-") else "", find_others)
    if found.files:
        return "file\0"
    told = (f"{name}\t{visible(said)}" if said else name for name, said in found.names.items() if "\t" not in name)
    return "".join(f"{one}\0" for one in ("plain", *told))


_SHELLS: Mapping[str, Callable[[Sequence[str], Finder], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
