"""A terminal as a drawing: text with its colours in, one SVG out that fetches nothing, whatever looks at it."""

import hashlib
import io
import re
from xml.etree import ElementTree

_SVG = "{http://www.w3.org/2000/svg}"
_CELL = 12.2  # of its units, in which rich draws
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_NO_COLOUR = re.compile(r"\x1b\[(?![\d;]*m)[?\d;]*[A-Za-z]|\r")
# No font comes with it, as a page of GitHub fetches none: each run of letters says how long it is, so that columns
# stand where they stand in whatever the reader has. The terminal is not clipped to its lines, and what hangs below the
# last is shown, too.
_FORMAT = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
font-family: "DejaVu Sans Mono", Menlo, Consolas, "Liberation Mono", monospace;
font-size: {char_height}px; white-space: pre;
}}
.{unique_id}-title {{ font-family: sans-serif; font-size: 18px; font-weight: bold; }}
{styles}
</style>
<defs>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def drawn(text: str, title: str, width: int) -> str:
    """The drawing of a terminal with so many cells in a line. `text`: as it is written to one.

    Raises ValueError for a line that is wider.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.text import Text

    wide = [line for line in plain(text).splitlines() if cell_len(line) > width]
    if wide:
        raise ValueError(f"wider than {width}, and cut off by the drawing: {wide}")
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(Text.from_ansi(text.rstrip("\n")), soft_wrap=True)
    made = console.export_svg(title=title, code_format=_FORMAT, unique_id="lastcall")
    return f"{made}<!-- {sum_of(text)} -->\n"


def sum_of(text: str) -> str:
    """Which text with its colours it is: what a drawing ends with."""
    return f"sha256 of what is drawn: {hashlib.sha256(text.encode()).hexdigest()}"


def words_of(drawing: str) -> str:
    """What can be read in a drawing."""
    lines: dict[float, str] = {}
    for one in ElementTree.fromstring(drawing).iter(f"{_SVG}text"):  # noqa: S314  our own
        if "textLength" in one.attrib:
            height, cells = float(one.attrib["y"]), round(float(one.attrib["x"]) / _CELL)
            lines[height] = lines.get(height, "").ljust(cells) + (one.text or "").rstrip("\n").replace("\xa0", " ")
    return "\n".join(line.rstrip() for _, line in sorted(lines.items()))


def still(text: str) -> str:
    """What stays of a text for a terminal where nothing moves: its letters and colours."""
    return _NO_COLOUR.sub("", text)


def plain(text: str) -> str:
    """The same without colours."""
    return _COLOUR.sub("", text)
