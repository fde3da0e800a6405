"""How wide standard output or error is, and whether it is coloured: by `--color`, by variables, by where it leads."""

import os
from collections.abc import Mapping
from typing import Literal

from lastcall.formats.layout.screen import Screen
from lastcall.threads import standard_output
from lastcall.threads.standard_output import OUTPUT

Wish = Literal["auto", "always", "never"]
WISHES: tuple[Wish, ...] = ("auto", "always", "never")
_USUAL = 80  # cells, where a terminal does not say: a serial console has none
_NARROWEST = 40  # cells; below that a line broken by us is no better than one broken by the terminal


def screen_of(descriptor: int, wish: Wish = "auto", environment: Mapping[str, str] = os.environ) -> Screen:
    """What this descriptor leads to. COLUMNS counts on a terminal alone: in a pipe the same is said everywhere."""
    here = standard_output.descriptor() if descriptor == OUTPUT else descriptor
    if not _is_terminal(here):
        return Screen(coloured=wished(wish, environment) is True)
    able = environment.get("TERM", "dumb") not in {"", "dumb"}
    asked = wished(wish, environment)
    return Screen(width=_width(here, environment), coloured=able if asked is None else asked)


def wished(wish: Wish, environment: Mapping[str, str] = os.environ) -> bool | None:
    """Whether somebody wants colours, None = nobody has said so: the option wins, then https://no-color.org, then
    https://force-color.org. Both variables count unless they are empty, whatever they say."""
    if wish != "auto":
        return wish == "always"
    if environment.get("NO_COLOR"):
        return False
    return True if environment.get("FORCE_COLOR") else None


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:  # a closed one
        return False


def _width(descriptor: int, environment: Mapping[str, str]) -> int:
    said = environment.get("COLUMNS", "")
    if said.isascii() and said.isdigit() and 0 < len(said) < 5 and int(said):
        return max(_NARROWEST, int(said))
    try:
        found = os.get_terminal_size(descriptor).columns
    except OSError:
        found = 0
    return max(_NARROWEST, found or _USUAL)
