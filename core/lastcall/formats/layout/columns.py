"""Rows in columns, as wide as the screen has room: names are cut in the middle, messages take what is left.

In a pipe nothing is cut or broken, and the same rows are the same lines wherever they are written.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import Enum

from lastcall.formats.layout.cells import cell_width, cut_middle, wrapped
from lastcall.formats.layout.screen import Screen, Tone
from lastcall.formats.values import value
from lastcall.formats.visible_text import visible

WIDEST_NAME = 40  # cells of a column of names in a pipe: one that is longer pushes its own line alone
_LEAST_NAME = 16  # cells; what is shorter tells nobody who is meant
_LEAST_REST = 24  # cells; messages in a narrower column are put below their row
_BELOW = 4  # cells by which they are set in there


class Fit(Enum):
    """How a column is fitted to the screen."""

    WHOLE = "whole"  # as wide as its widest cell
    NAME = "name"  # one of a table: cut where there is no room
    REST = "rest"  # the last one: what is left, with several lines a row


@value(kw_only=True)
class Column:
    """A column. `right`: its cells end in line; `gap`: the cells between it and the next one."""

    fit: Fit = Fit.WHOLE
    right: bool = False
    gap: int = 2


@value
class Cell:
    """One text of a row, and what it is to its reader. `kept`: the end of a name that is not cut with it."""

    text: str
    tone: Tone | None = None
    kept: str = ""


Row = Sequence[Cell | str]
SIGN, FACT, NUMBER = Column(gap=1), Column(), Column(right=True)
NAME, REST = Column(fit=Fit.NAME), Column(fit=Fit.REST)


def in_columns(rows: Iterable[Row], columns: Sequence[Column], screen: Screen, indent: int = 0) -> Iterator[str]:
    """The lines of all rows."""
    for lines in blocks(rows, columns, screen, indent):
        yield from lines


def blocks(rows: Iterable[Row], columns: Sequence[Column], screen: Screen, indent: int = 0) -> list[list[str]]:
    """The lines of each row, for who has more to say between them. A row may have fewer cells than columns."""
    table = [[_passed(cell) for cell in row] for row in rows]
    widths = _widths(table, columns, screen, indent)
    return [_lines(row, columns, widths, screen, indent) for row in table]


def paragraph(text: str, screen: Screen, indent: int = 0, *, sign: str = "", tone: Tone | None = None) -> list[str]:
    """One text as lines, set in below its sign, which alone has the tone where there is one."""
    if not sign:
        return blocks([[Cell(text, tone)]], (REST,), screen, indent)[0]
    return blocks([[Cell(sign, tone), text]], (SIGN, REST), screen, indent)[0]


def _passed(cell: Cell | str) -> Cell:
    """Through the door first: what is shown instead of a character takes more cells, and a code that is cut is none."""
    return Cell(visible(cell)) if isinstance(cell, str) else Cell(visible(cell.text), cell.tone, visible(cell.kept))


def _widths(table: list[list[Cell]], columns: Sequence[Column], screen: Screen, indent: int) -> list[int]:
    widest = [
        max((cell_width(row[at].text) for row in table if at < len(row)), default=0) for at in range(len(columns))
    ]
    taken = indent + sum(column.gap for column in columns[:-1])
    taken += sum(width for width, column in zip(widest, columns, strict=True) if column.fit is Fit.WHOLE)
    rest = sum(width for width, column in zip(widest, columns, strict=True) if column.fit is Fit.REST)
    name = _name_width(screen, taken, rest, alone=len(columns) == 1)
    fitted = {Fit.NAME: name, Fit.REST: rest if screen.width is None else max(0, screen.width - taken)}
    for at, column in enumerate(columns):
        if column.fit is Fit.NAME:
            widest[at] = min(widest[at], name)
            fitted[Fit.REST] -= widest[at]
    room = fitted[Fit.REST] if fitted[Fit.REST] >= min(rest, _LEAST_REST) else 0  # 0: below the row
    return [room if column.fit is Fit.REST else widest[at] for at, column in enumerate(columns)]


def _name_width(screen: Screen, taken: int, rest: int, *, alone: bool) -> int:
    """What a name may have: what nobody else needs, and two fifths of it where messages want more than there is. Half a
    line at most, unless it stands there alone: one guest's must not push everybody's outcome out of sight.
    """
    if screen.width is None:
        return WIDEST_NAME
    room = screen.width - taken
    return max(_LEAST_NAME, min(room if alone else screen.width // 2, max(room - rest, room * 2 // 5)))


class _Pen:
    """Writes a row; blanks are owed until something follows them, so that no line ends in any."""

    def __init__(self, indent: int) -> None:
        self.lines = list[str]()
        self._line, self._owed = "", indent

    def skip(self, cells: int) -> None:
        self._owed += cells

    def put(self, text: str) -> None:
        if text:
            self._line += " " * self._owed + text
            self._owed = 0

    def end(self, indent: int = 0) -> None:
        """Go on in the next line, there."""
        if self._line:
            self.lines.append(self._line)
        self._line, self._owed = "", indent


def _lines(row: list[Cell], columns: Sequence[Column], widths: list[int], screen: Screen, indent: int) -> list[str]:
    pen, at = _Pen(indent), indent
    for cell, column, width in zip(row, columns, widths, strict=False):
        if column.fit is Fit.REST and screen.width is not None:
            _put_rest(pen, cell, width, screen, (at, indent + _BELOW))
            break
        text = cut_middle(cell.text, width, cell.kept) if column.fit is Fit.NAME and screen.cuts else cell.text
        taken, at = cell_width(text), at + width + column.gap
        pen.skip(max(0, width - taken) if column.right else 0)
        pen.put(screen.painted(text, cell.tone))
        pen.skip((0 if column.right else max(0, width - taken)) + column.gap)
        # A name that is whole, and longer than its column, has a line of its own: what follows stays in its place.
        if taken > width and screen.width is not None:
            pen.end(at)
    pen.end()
    return pen.lines or [""]


def _put_rest(pen: _Pen, cell: Cell, width: int, screen: Screen, places: tuple[int, int]) -> None:
    at, below = places
    if not width and at > below:
        pen.end(below)
        at = below
    for part in wrapped(cell.text, (screen.width or 0) - at):
        pen.put(screen.painted(part, cell.tone))
        pen.end(at)
