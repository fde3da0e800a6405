"""The configuration's files: which they are, and their nodes merged into one tree. Only the YAML is judged here."""

import os
from collections.abc import Mapping
from pathlib import Path

from lastcall.config.nodes import ListNode, MapNode, Mark, Reader, merge
from lastcall.errors import ConfigInvalid, Problem
from lastcall.formats.values import value

DEFAULT_FILE = Path("/etc/lastcall/config.yaml")
VARIABLE = "LASTCALL_CONFIG"

Located = tuple[Mark, Problem]


@value
class Tree:
    """The merged files. `files` are those that were read, `problems` what is wrong with them as YAML."""

    node: MapNode
    files: tuple[Path, ...] = ()
    problems: tuple[Located, ...] = ()


def config_file(given: Path | None, environment: Mapping[str, str] = os.environ) -> tuple[Path, bool]:
    """The file to read, and whether somebody named it (then it has to exist)."""
    named = given or (Path(environment[VARIABLE]) if environment.get(VARIABLE) else None)
    return (named, True) if named else (DEFAULT_FILE, False)


def read_tree(given: Path | None = None) -> Tree:
    """Read the configuration file and its `conf.d`; raises ConfigInvalid when a file cannot be read at all."""
    file, named = config_file(given)
    # Whoever names a file means that file; where the usual one is missing, the defaults stop guests well enough.
    files = [file] if named or file.exists() else []
    folder = file.parent / "conf.d"
    if folder.is_dir():
        # Later files win, and a glob comes in the order of the file system. Hidden ones are what editors leave behind.
        files += sorted(path for path in folder.glob("*.yaml") if not path.name.startswith("."))
    return merged({path: _text(path) for path in files}, str(file))


def merged(texts: Mapping[Path, str], name: str = "configuration") -> Tree:
    """Merge the texts of files, in their order."""
    node, problems = MapNode(Mark(name)), list[Located]()
    for path, text in texts.items():
        part, found = _as_mapping(path, text)
        problems += found
        node = merge(node, part)
    return Tree(node, tuple(texts), tuple(problems))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise _unreadable(path, (error.strerror or str(error)).lower()) from None
    except UnicodeDecodeError:
        raise _unreadable(path, "not a text file (UTF-8)") from None


def _as_mapping(path: Path, text: str) -> tuple[MapNode, list[Located]]:
    reader = Reader(str(path))
    node = reader.read(text)
    # Empty is what a full disk or a copy that was cut off leaves: read as "nothing but defaults" it would go unnoticed.
    if not text.strip():
        reader.problems.append(_wrong(path, "is empty; remove it to use the built-in defaults"))
    if not isinstance(node, MapNode):
        kind = "a list" if isinstance(node, ListNode) else "a single value"
        reader.problems.append(_wrong(path, f"should be a mapping of sections, not {kind}"))
        node = MapNode(Mark(str(path)))
    return node, reader.problems


def _wrong(path: Path, message: str) -> Located:
    mark = Mark(str(path))
    return mark, Problem(what="config", where=str(mark), message=message, remedy="see `lastcall config sample`")


def _unreadable(path: Path, why: str) -> ConfigInvalid:
    problem = Problem(
        what="config", where=str(path), message=f"cannot be read: {why}", remedy="see `lastcall config sample`"
    )
    return ConfigInvalid([problem])
