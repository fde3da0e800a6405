"""With which signs and colours the live view is drawn: those that its terminal can show, and somebody wants to see."""

import os

from lastcall.formats.values import value
from lastcall.formats.visible_text import visible

_SIGNS = ("█", "░", "┃", "…", " · ")
_PLAIN_SIGNS = ("#", ".", "|", "...", ", ")
RED, GREEN, YELLOW, FAINT = 31, 32, 33, 2


@value
class Paint:
    """Signs and colours for text in an encoding. `past`, `ahead`, `mark`: of the bar."""

    past: str
    ahead: str
    mark: str
    dots: str
    between: str
    encoding: str
    coloured: bool

    @classmethod
    def of(cls, encoding: str) -> "Paint":
        """The signs that can be written so; colours, unless somebody wants none (https://no-color.org)."""
        coloured = not os.environ.get("NO_COLOR")
        try:
            "".join(_SIGNS).encode(encoding)
        except (UnicodeEncodeError, LookupError):
            return cls(*_PLAIN_SIGNS, encoding, coloured)
        return cls(*_SIGNS, encoding, coloured)

    def text(self, text: str) -> str:
        """Somebody's text, as the terminal is going to show it: only then it is known how many cells it takes."""
        return visible(text).encode(self.encoding, "backslashreplace").decode(self.encoding)

    def in_colour(self, text: str, colour: int | None) -> str:
        """The text in a colour, or as it is."""
        return f"\033[{colour}m{text}\033[0m" if self.coloured and colour is not None and text else text
