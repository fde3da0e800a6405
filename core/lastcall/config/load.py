"""Reading the configuration in two phases: nodes and bootstrap first, everything else once the plugins are known."""

import os
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import cast

from lastcall.config.compose import Vocabulary, settings_model
from lastcall.config.models import Bootstrap, Settings
from lastcall.config.nodes import ListNode, MapNode, Mark, Reader, merge
from lastcall.config.validation import Located, validate, without_unread
from lastcall.errors import ConfigInvalid, Problem
from lastcall.formats.values import value

DEFAULT_FILE = Path("/etc/lastcall/config.yaml")
VARIABLE = "LASTCALL_CONFIG"


@value
class Document:
    """The merged files. `files` are those that were read, `problems` what is wrong with them as YAML."""

    node: MapNode
    files: tuple[Path, ...] = ()
    problems: tuple[Located, ...] = ()
    bootstrap: Bootstrap = field(default_factory=Bootstrap)

    def settings(self, words: Vocabulary) -> Settings:
        """Validate everything; raises ConfigInvalid with every problem, in the order of files and lines."""
        settings, problems = validate(settings_model(words), without_unread(self.node, words.unread))
        found = [*self.problems, *problems]
        order = {str(file): index for index, file in enumerate(self.files)}
        found.sort(key=lambda pair: (order.get(pair[0].file, -1), pair[0]))
        if found or settings is None:
            raise ConfigInvalid([problem for _, problem in found])
        return cast("Settings", settings)


def config_file(given: Path | None, environment: Mapping[str, str] = os.environ) -> tuple[Path, bool]:
    """The file to read, and whether somebody named it (then it has to exist)."""
    named = given or (Path(environment[VARIABLE]) if environment.get(VARIABLE) else None)
    return (named, True) if named else (DEFAULT_FILE, False)


def read(given: Path | None = None) -> Document:
    """Read the configuration file and its `conf.d`; raises ConfigInvalid when a file cannot be read at all."""
    file, named = config_file(given)
    files = [file] if named or file.exists() else []
    folder = file.parent / "conf.d"
    if folder.is_dir():
        files += sorted(path for path in folder.glob("*.yaml") if not path.name.startswith("."))
    return read_texts({path: _text(path) for path in files}, str(file))


def read_texts(texts: Mapping[Path, str], name: str = "configuration") -> Document:
    """Read a configuration from the texts of its files, in their order."""
    node, problems = MapNode(Mark(name)), list[Located]()
    for path, text in texts.items():
        part, found = _as_mapping(path, text)
        problems += found
        node = merge(node, part)
    bootstrap, _ = validate(Bootstrap, node)
    known = cast("Bootstrap", bootstrap) if bootstrap else Bootstrap()
    return Document(node, tuple(texts), tuple(problems), known)


def defaults() -> Document:
    """The built-in defaults alone."""
    return Document(MapNode(Mark("built-in defaults")))


def parse(text: str, name: str = "<text>") -> Document:
    """Read a configuration from a text (which says something, if only in a comment)."""
    return read_texts({Path(name): text}, name)


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
