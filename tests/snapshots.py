"""What commands print, kept as text beside their tests: at 80 and 120 columns, plain and coloured, and in a pipe.

`LASTCALL_SNAPSHOTS=write` in the environment of pytest writes them anew; the diff tells what has changed.
"""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from json_documents import hold_against_schema
from lastcall.cli.invocation import Invocation
from lastcall.cli.terminal.screens import Wish
from lastcall.formats.layout.cells import cell_width
from lastcall.formats.layout.screen import Screen

FOLDER = Path(__file__).parent / "unit" / "cli" / "snapshots"
WIDTHS = (80, 120)
WIDEST = 200  # held against nothing but its own width
_CODE = re.compile(r"\x1b\[\d+m")
Show = Callable[[Invocation, Sequence[str]], str]
"""Runs these words in a world that is always the same, and returns what is on standard output."""


def hold_against_snapshot(name: str, words: Sequence[str], show: Show, *, fits: bool = True) -> None:
    """Fails where a command prints anything else than its snapshot, or a line that is wider than the screen (unless it
    is a text for programs: not `fits`), where colours change more than colours, and where a pipe gets something cut.
    """
    parts = dict[str, str]()
    for width in (*WIDTHS, WIDEST, None):
        plain, coloured = (show(_seen_on(width), ["--color", wish, *words]) for wish in ("never", "always"))
        assert _CODE.sub("", coloured).splitlines() == plain.splitlines()
        assert plain, "nothing is shown"
        wide = [line for line in plain.splitlines() if width and fits and cell_width(line) > width]
        assert not wide, f"wider than {width}"
        parts[f"{width} columns" if width else "in a pipe"] = plain
        if width in WIDTHS:
            parts[f"{width} columns, coloured"] = coloured.replace("\x1b", "␛")
    del parts[f"{WIDEST} columns"]
    assert "…" not in parts["in a pipe"]
    _compare(FOLDER / f"{name}.txt", "".join(f"──── {title}\n{text}" for title, text in parts.items()))


def hold_against_its_schema(words: Sequence[str], show: Show, command: Sequence[str]) -> str:
    """Fails where what a command prints with --json is not what its schema says, or is coloured; returns it."""
    text = show(_seen_on(80), ["--color", "always", *words, "--json"])
    hold_against_schema(text, *command)
    return text


def _compare(path: Path, text: str) -> None:
    if os.environ.get("LASTCALL_SNAPSHOTS") == "write":
        path.write_text(text)
    assert path.is_file(), f"LASTCALL_SNAPSHOTS=write writes {path.name}"
    assert text.splitlines() == path.read_text().splitlines(), "LASTCALL_SNAPSHOTS=write writes it anew"


def _seen_on(width: int | None) -> Invocation:
    def screens(_descriptor: int, wish: Wish) -> Screen:
        return Screen(width=width, coloured=wish == "always")

    return Invocation(screens=screens)
