"""The files of a skeleton, made from templates, and put where nothing is yet."""

import contextlib
import os
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from string import Template

from lastcall.cli.skeleton.names import PluginNames
from lastcall.errors import LastcallError, NoPermission
from lastcall.formats.reading import read_text
from lastcall.formats.version import __version__

_TEMPLATES = Path(__file__).parent / "templates"
_LONGEST = 1 << 16  # bytes; a licence is the longest


class Offer(StrEnum):
    """What a package has beside options, hooks and a check."""

    STOP_METHOD = "stop-method"
    SHELL = "shell"
    COMMAND = "command"


# Template, where it goes, and the offer that it is for; None = every package has it.
_PACKAGE = (
    ("pyproject.toml", "pyproject.toml", None),
    ("README.md", "README.md", None),
    ("LICENSE", "LICENSE", None),
    ("gitignore", ".gitignore", None),
    ("workflow.yml", ".github/workflows/test.yml", None),
    ("plugin.py", "src/$module/__init__.py", None),
    ("options.py", "src/$module/options.py", None),
    ("stop_method.py", "src/$module/stop_method.py", Offer.STOP_METHOD),
    ("shell.py", "src/$module/shell.py", Offer.SHELL),
    ("command.py", "src/$module/command.py", Offer.COMMAND),
    ("py.typed", "src/$module/py.typed", None),
    ("test_plugin.py", "tests/test_plugin.py", None),
    ("test_stop_method.py", "tests/test_stop_method.py", Offer.STOP_METHOD),
    ("test_shell.py", "tests/test_shell.py", Offer.SHELL),
    ("test_command.py", "tests/test_command.py", Offer.COMMAND),
)
_DROP_IN = (("drop_in.py", "hooks.d/50-$command.py"), ("test_drop_in.py", "tests/test_$plugin.py"))


def package_files(names: PluginNames, offers: Iterable[Offer]) -> Mapping[str, str]:
    """The texts of a package by their paths, from the folder on in which the package's folder is."""
    chosen = frozenset(offers)
    files = [(template, path) for template, path, offer in _PACKAGE if offer is None or offer in chosen]
    return {f"{names.project}/{_filled(path, names)}": _text(template, names, chosen) for template, path in files}


def drop_in_files(names: PluginNames) -> Mapping[str, str]:
    """The texts of a drop-in and of its test by their paths."""
    return {_filled(path, names): _text(template, names, frozenset()) for template, path in _DROP_IN}


def _text(template: str, names: PluginNames, offers: frozenset[Offer]) -> str:
    """A line that begins with `%shell ` is for whoever has that offer."""
    lines = list[str]()
    for line in read_text(_TEMPLATES / f"{template}.in", _LONGEST).splitlines(keepends=True):
        offer, _, rest = line[1:].partition(" ") if line.startswith("%") else ("", "", line)
        if not offer or Offer(offer) in offers:
            lines.append(rest)
    return _filled("".join(lines), names)


def _filled(text: str, names: PluginNames) -> str:
    return Template(text).substitute(
        command=names.command, plugin=names.plugin, module=names.module, project=names.project, title=names.title,
        version=__version__,
    )  # fmt: skip


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write them below the folder: all, or none where one is there or cannot be written. Raises LastcallError."""
    made = list[Path]()
    try:
        for path, text in files.items():
            _make_folders((folder / path).parent, made)
            # Not over what somebody has put there since: it fails where there is anything, a link to nowhere, too.
            descriptor = os.open(folder / path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            made.append(folder / path)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        _take_back(made)
        where = error.filename or folder
        raise NoPermission(f"{where} cannot be written: {(error.strerror or str(error)).lower()}") from None
    except BaseException:
        _take_back(made)
        raise


def refuse_to_overwrite(folder: Path, paths: Iterable[str]) -> None:
    """Raise LastcallError where one of the paths is there, whatever it is."""
    for path in paths:
        if os.path.lexists(folder / path):
            raise LastcallError(f"{folder / path} is there already", "choose another name, or another folder")


def _make_folders(folder: Path, made: list[Path]) -> None:
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(0o755)
        made.append(one)


def _take_back(made: list[Path]) -> None:
    for path in reversed(made):
        with contextlib.suppress(OSError):  # somebody else has put something into a folder
            path.rmdir() if path.is_dir() else path.unlink()
