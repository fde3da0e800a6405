"""How wide the output is and whether it is coloured: on terminals that are some, in pipes, by variables and --color."""

import fcntl
import os
import pty
import struct
import termios
from collections.abc import Iterator

import pytest

from lastcall.cli.terminal.screens import Wish, screen_of
from lastcall.formats.layout.screen import PLAIN, Screen

XTERM = {"TERM": "xterm-256color"}


@pytest.fixture(name="terminal")
def _terminal() -> Iterator[int]:
    master, slave = pty.openpty()
    yield slave
    os.close(master)
    os.close(slave)


@pytest.fixture(name="pipe")
def _pipe() -> Iterator[int]:
    reader, writer = os.pipe()
    yield writer
    os.close(reader)
    os.close(writer)


def widen(terminal: int, columns: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


@pytest.mark.parametrize(
    ("columns", "said", "width"),
    [(120, None, 120), (0, None, 80), (120, "100", 100), (120, "", 120), (120, "0", 120), (120, "wide", 120),
     (120, "-5", 120), (120, "9" * 5000, 120), (120, "²", 120), (10, None, 40), (120, "5", 40)],
)  # fmt: skip
def test_a_terminal_is_as_wide_as_it_says_or_columns(terminal: int, columns: int, said: str | None, width: int) -> None:
    widen(terminal, columns)
    assert screen_of(terminal, "auto", XTERM | ({} if said is None else {"COLUMNS": said})).width == width


def test_a_pipe_has_no_width_whatever_is_set(pipe: int) -> None:
    assert screen_of(pipe, "auto", {**XTERM, "COLUMNS": "100"}) == PLAIN
    assert screen_of(99_999, "auto", XTERM) == PLAIN, "a descriptor that is closed"


@pytest.mark.parametrize(
    ("wish", "environment", "on_terminal", "in_pipe"),
    [
        ("auto", XTERM, True, False),
        ("auto", {}, False, False),
        ("auto", {"TERM": "dumb"}, False, False),
        ("auto", {**XTERM, "NO_COLOR": "1"}, False, False),
        ("auto", {**XTERM, "NO_COLOR": "0"}, False, False),
        ("auto", {**XTERM, "NO_COLOR": ""}, True, False),
        ("auto", {**XTERM, "FORCE_COLOR": "1"}, True, True),
        ("auto", {**XTERM, "FORCE_COLOR": "0"}, True, True),
        ("auto", {**XTERM, "FORCE_COLOR": ""}, True, False),
        ("auto", {"TERM": "dumb", "FORCE_COLOR": "1"}, True, True),
        ("auto", {**XTERM, "FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        ("always", {"TERM": "dumb", "NO_COLOR": "1"}, True, True),
        ("never", {**XTERM, "FORCE_COLOR": "1"}, False, False),
    ],
)
def test_who_decides_on_colours(
    terminal: int, pipe: int, wish: Wish, environment: dict[str, str], *, on_terminal: bool, in_pipe: bool
) -> None:
    assert screen_of(terminal, wish, environment).coloured is on_terminal
    assert screen_of(pipe, wish, environment) == Screen(coloured=in_pipe)
