"""What the program says of itself: each command in a whole sentence, and whatever was probably meant."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lastcall.cli.commands import COMMANDS, SECTIONS
from lastcall.cli.main import run
from lastcall.formats.version import __version__
from support import write_config


@pytest.fixture
def config(tmp_path: Path) -> list[str]:
    return ["--config", str(write_config(tmp_path, "test:///default"))]


def sections(text: str) -> dict[str, dict[str, str]]:
    """What `--help` says: sections, commands and their sentences."""
    found, section = dict[str, dict[str, str]](), ""
    for line in text.splitlines():
        if heading := re.fullmatch(r"(\S.*):", line):
            section = heading[1]
        elif row := re.fullmatch(r"  (\S+) +(\S.*)", line):
            found.setdefault(section, {})[row[1]] = row[2]
        elif more := re.fullmatch(r" {8,}(\S.*)", line):
            name = next(reversed(found[section]))
            found[section][name] += f" {more[1]}"
    return found


def test_help_sorts_all_commands_by_what_they_are_for_and_tells_each_in_a_whole_sentence(
    config: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run([*config, "--help"])
    told = sections(capsys.readouterr().out)
    assert {name: tuple(told[name]) for name in SECTIONS} == SECTIONS
    assert "ssh" in told["Of plugins"]
    for section in (*SECTIONS, "Of plugins"):
        for name, sentence in told[section].items():
            assert re.fullmatch(r"[A-Z].*[^.]\.", sentence), name


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        *(((command[:-2] + command[-1],), command) for command in COMMANDS),
        (("shs",), "ssh"),
        (("config", "shwo"), "show"),
        (("guest", "sett"), "set"),
        (("plugins", "nwe"), "new"),
        (("runs", "dif"), "diff"),
    ],
)
def test_of_a_misspelt_command_it_says_which_was_probably_meant(
    words: tuple[str, ...], meant: str, config: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*config, *words]) == 2
    assert (
        capsys.readouterr().err.splitlines()[-1]
        == f"Error: no command is called {words[-1]!r}; did you mean {meant!r}?"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [(["zzzz"], "no command is called 'zzzz'"), (["config", "--zzzz"], "No such option '--zzzz'.")],
)
def test_what_is_like_nothing_is_just_not_there(
    words: list[str], said: str, config: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*config, *words]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"Error: {said}"


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["plan", "-v"], "-v comes before the command: lastcall -v plan"),
        (["lock", "show", "--quiet"], "--quiet comes before the command: lastcall --quiet lock show"),
        (["status", "--color", "never"], "--color comes before the command: lastcall --color status"),
    ],
)
def test_of_an_option_of_all_commands_it_says_where_it_belongs(
    words: list[str], meant: str, config: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*config, *words]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"Error: {meant}"


def test_it_is_a_module_too() -> None:
    done = subprocess.run([sys.executable, "-m", "lastcall", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"lastcall {__version__}\n"
