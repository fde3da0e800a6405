"""The configuration's files: which they are, whether they can be trusted, and their nodes merged into one tree.

What is in them is root's word: URIs and `ready.command` run programs. So they are read only where nobody else could
have written it; of their content only the YAML is judged here.
"""

import codecs
import os
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from lastcall.config.nodes import ListNode, MapNode, Mark, mark_at, merge
from lastcall.config.reader import Reader
from lastcall.errors import ConfigDenied, ConfigInvalid, Problem
from lastcall.formats.nearest import nearest
from lastcall.formats.reading import Unreadable, Untrusted, open_trusted, read_bytes
from lastcall.formats.values import value

DEFAULT_FILE = Path("/etc/lastcall/config.yaml")
VARIABLE = "LASTCALL_CONFIG"
LARGEST = 4 << 20  # bytes of a file; a thousand rules have some hundred thousand

Located = tuple[Mark, Problem]
_Failed = tuple[Path, OSError | UnicodeDecodeError]


@value
class Tree:
    """The merged files. `texts` are those that were read, `problems` what is wrong with them as YAML."""

    node: MapNode
    texts: Mapping[Path, str] = field(default_factory=dict[Path, str])
    problems: tuple[Located, ...] = ()


def config_file(given: Path | None, environment: Mapping[str, str] = os.environ) -> tuple[Path, bool]:
    """The file to read, and whether somebody named it (then it has to exist)."""
    named = given or (Path(environment[VARIABLE]) if environment.get(VARIABLE) else None)
    return (named, True) if named else (DEFAULT_FILE, False)


def read_tree(given: Path | None = None) -> Tree:
    """Read the configuration file and its `conf.d`; raises ConfigInvalid when one cannot be read at all, or trusted,
    and ConfigDenied where that takes another user.
    """
    file, named = config_file(given)
    texts, failed = dict[Path, str](), list[_Failed]()
    for path in (file, *_further(file.parent / "conf.d", failed)):
        try:
            texts[path] = _text(path)
        except FileNotFoundError as error:
            # Whoever names a file means that file; where the usual one is missing, the defaults stop guests well
            # enough.
            if named or path != file:
                failed.append((path, error))
        except (OSError, UnicodeDecodeError) as error:
            failed.append((path, error))
    if failed:
        denied = all(isinstance(error, PermissionError) for _, error in failed)
        # A folder that is not trusted is one problem for all in it.
        problems = list(dict.fromkeys(_unreadable(str(path), error) for path, error in failed))
        raise ConfigDenied(problems) if denied else ConfigInvalid(problems)
    return merged(texts, str(file))


def _further(folder: Path, failed: list[_Failed]) -> list[Path]:
    """The files that are laid over the first one; later ones win, so that they need an order."""
    try:
        descriptor = open_trusted(folder, folder=True)
        try:
            names = os.listdir(descriptor)  # noqa: PTH208  the folder that was checked, not the one of that name
        finally:
            os.close(descriptor)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        failed.append((folder, error))
        return []
    # Hidden ones are what editors leave behind.
    return sorted(folder / name for name in names if name.endswith(".yaml") and not name.startswith("."))


def merged(texts: Mapping[Path, str], name: str = "configuration") -> Tree:
    """Merge the texts of files, in their order."""
    node, problems = MapNode(Mark(name)), list[Located]()
    for path, text in texts.items():
        part, found = _as_mapping(path, text)
        problems += found
        node = merge(node, part)
    return Tree(node, texts, tuple(problems))


def _text(path: Path) -> str:
    # Some editors write a mark of the byte order in front, which says nothing in UTF-8. By hand, as the codec of Python
    # for that would have to be loaded.
    return read_bytes(path, LARGEST, trusted=True).removeprefix(codecs.BOM_UTF8).decode()


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


def _unreadable(path: str, error: OSError | UnicodeDecodeError) -> Problem:
    if isinstance(error, Unreadable):
        # What is wrong may be a folder above it.
        told = "not used as configuration:" if isinstance(error, Untrusted) else "cannot be read:"
        # Where somebody named a folder such as /etc, it had better stay where it is.
        stays = not isinstance(error, Untrusted) and (Path(path).is_dir() or Path(path).is_char_device())
        remedy = "a plain file is wanted here" if stays else error.remedy
        return Problem(what="config", where=error.filename, message=f"{told} {error.why}", remedy=remedy)
    if isinstance(error, UnicodeDecodeError):
        where = str(mark_at(path, error.object[: error.start].decode("utf-8-sig", errors="replace")))
        why = f"not a text file (UTF-8): byte {error.object[error.start]:#04x}"
        # What writes UTF-16 writes the mark of its byte order in front.
        odd = error.object[:2] in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}
        remedy = "save it as UTF-8" + (", it looks like UTF-16" if odd else "")
    else:
        where, why = path, (error.strerror or str(error)).lower()
        remedy = _instead_of(Path(path)) if isinstance(error, FileNotFoundError) else ""
    return Problem(what="config", where=where, message=f"cannot be read: {why}", remedy=remedy)


def _instead_of(path: Path) -> str:
    """What helps where nothing is at a path."""
    try:
        names = [name for name in os.listdir(path.parent) if name.endswith((".yaml", ".yml"))]  # noqa: PTH208  names alone
    except OSError:
        return f"name a file that is there: the folder {path.parent} is not"
    close = nearest(path.name, names)
    if close:
        return f"did you mean {path.parent / close}?"
    if os.access(DEFAULT_FILE, os.F_OK):
        return f"name a file that is there, such as {DEFAULT_FILE}"
    return f"`lastcall config sample` prints one that can be kept as {path}"
