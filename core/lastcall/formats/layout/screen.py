"""Where text goes, and in which colours: what a terminal, a pipe or a file makes of the same lines."""

from enum import Enum

from lastcall.formats.values import value
from lastcall.formats.visible_text import visible


class Tone(Enum):
    """What a text is to its reader, as the code by which a terminal colours it. Most texts have none."""

    GOOD = "32"
    BAD = "31"
    WARNING = "33"
    ASIDE = "2"
    HEADING = "1"


@value(kw_only=True)
class Screen:
    """Where text goes. `width`: the cells of its lines, None = a pipe or a file, for which nothing is cut or broken.

    `whole`: names are not cut, nor lists folded, on a terminal either.
    """

    width: int | None = None
    coloured: bool = False
    whole: bool = False

    @property
    def cuts(self) -> bool:
        """Whether names are cut and lists folded."""
        return self.width is not None and not self.whole

    def paint(self, text: str, tone: Tone | None) -> str:
        """The text as it is written there, after it has passed the door: no name brings a code of its own."""
        return self.painted(visible(text), tone)

    def painted(self, text: str, tone: Tone | None) -> str:
        """The same of what is visible already."""
        return f"\x1b[{tone.value}m{text}\x1b[0m" if self.coloured and tone and text else text


PLAIN = Screen()  # a pipe, a file, a journal
