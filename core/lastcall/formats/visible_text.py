"""The one door through which text goes to people: what hides in it, moves the cursor or ends a line is shown instead.

The door stands where a line is composed, and not before the terminal: there nobody knows any more which line ends are
ours and which came with a guest's name. JSON does not pass it, as programs want the true text.
"""

from collections.abc import Callable, Iterable

# Not printable to Python, and yet at home in ordinary text: spaces, and the joiners that some scripts and emoji need.
_KEPT = frozenset("\xa0\u200c\u200d\u202f\u3000")


def visible(line: str) -> str:
    r"""One line's text: control and bidi characters, line ends and lone surrogates as `\x1b`, `\n` or `\u202e`."""
    return escaped(line, _as_python)


def page(lines: Iterable[str]) -> str:
    """Several lines as one text: each goes through the door, the line ends between them are ours."""
    return "\n".join(map(visible, lines))


def escaped(line: str, escape: Callable[[str], str]) -> str:
    """A line in which each character that is not to be seen is what `escape` makes of it."""
    if line.isprintable():
        return line  # as nearly all are
    return "".join(one if one.isprintable() or one in _KEPT else escape(one) for one in line)


def as_argument(name: str) -> str:
    """What to type behind a command for a guest of this name, as a shell takes it."""
    import shlex  # here: hardly ever is a command told

    return f"--match {shlex.quote(f'name={name}')}" if name.startswith("-") else shlex.quote(name)


def _as_python(character: str) -> str:
    return character.encode("unicode_escape").decode()
