"""Texts cut and filled up to a number of a terminal's cells, of which some characters take two and others none."""

from collections.abc import Iterable

_LEAST = 4  # cells of a name before an end that is kept
_OURS = str.maketrans("█░┃…·", "#.|..")  # signs of the view itself, which take one


def cells_of(text: str) -> int:
    """How many cells a text takes."""
    # Nothing is imported on a host whose guests have plain names, as most have.
    if text.isascii() or text.translate(_OURS).isascii():
        return len(text)
    from rich.cells import (
        cell_len,
    )  # this alone of rich: its console would cost a run of a hundred guests 5 % of its CPU

    return cell_len(text)


def cut(text: str, width: int, dots: str = "…") -> str:
    """The text with at most so many cells, cut at its end."""
    if cells_of(text) <= width:
        return text
    return f"{_head(text, width - cells_of(dots))}{dots}"[: max(0, width)]


def cut_in_the_middle(text: str, width: int, dots: str = "…", kept: str = "") -> str:
    """The same of a name, of which both ends tell who it is: `web-frontend-…-eu-12`. Of `kept`, its end, nothing is cut
    as long as there is room for something before it.
    """
    if cells_of(text) <= width:
        return text
    if kept and width - cells_of(kept) >= _LEAST:
        return cut_in_the_middle(text.removesuffix(kept), width - cells_of(kept), dots) + kept
    room = width - cells_of(dots)
    if room < 2:
        return cut(text, width, dots)
    tail = _head(reversed(text), room // 2)[::-1].lstrip("\u200d\ufe0f")
    return f"{_head(text, room - room // 2)}{dots}{tail}"


def filled(text: str, width: int) -> str:
    """The text with spaces behind it, up to so many cells."""
    return text + " " * (width - cells_of(text))


def _head(text: Iterable[str], width: int) -> str:
    taken = ""
    for one in text:
        width -= cells_of(one)
        if width < 0:
            break
        taken += one
    return taken
