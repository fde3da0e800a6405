"""Reading the configuration in two phases: nodes and bootstrap first, everything else once the plugins are known."""

import contextlib
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import cast

from lastcall.api.guests import Reason, RunKind
from lastcall.config.compose import Vocabulary, settings_model
from lastcall.config.files import Located, Tree, merged, read_tree
from lastcall.config.nodes import MapNode, Mark, Node, Scalar
from lastcall.config.settings import Bootstrap, RestoreSettings, Settings, ShutdownSettings
from lastcall.config.validation import validate, without_unread
from lastcall.errors import ConfigInvalid
from lastcall.formats.quantities import parse_duration
from lastcall.formats.values import value


@value
class Document:
    """The merged files. `texts` are those that were read, `problems` what is wrong with them as YAML. `read_at`: when
    reading them began, in seconds since the epoch.
    """

    node: MapNode
    texts: Mapping[Path, str] = field(default_factory=dict[Path, str])
    problems: tuple[Located, ...] = ()
    bootstrap: Bootstrap = field(default_factory=Bootstrap)
    read_at: float = field(default_factory=time.time, compare=False)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that were read, in their order; none for the built-in defaults."""
        return tuple(self.texts)

    def settings(self, words: Vocabulary, more: Iterable[Located] = ()) -> Settings:
        """Validate everything; raises ConfigInvalid with every problem, and `more`, in the order of files and lines."""
        model = settings_model(words, rules="guests" in self.node.items)
        settings, problems = validate(model, without_unread(self.node, words.unread))
        found = [*self.problems, *problems, *more]
        order = {str(file): index for index, file in enumerate(self.files)}
        found.sort(key=lambda pair: (order.get(pair[0].file, -1), pair[0]))
        if found or settings is None:
            raise ConfigInvalid([problem for _, problem in found])
        return cast("Settings", settings)

    def deadline(self, kind: RunKind, reason: Reason) -> float:
        """Seconds that a run may take, `math.inf` for no limit, before everything is validated: what loading the
        plugins takes is cut from it. What is not plain counts as if it were not there.
        """
        usual = (ShutdownSettings if kind is RunKind.SHUTDOWN else RestoreSettings).model_construct().deadline
        given = next(_deadlines(self.node, kind, reason), usual)
        return math.inf if given is None else given


def read(given: Path | None = None) -> Document:
    """Read the configuration file and its `conf.d`; raises ConfigInvalid when a file cannot be read at all."""
    began = time.time()
    return replace(_document(read_tree(given)), read_at=began)


def read_texts(texts: Mapping[Path, str], name: str = "configuration") -> Document:
    """Read a configuration from the texts of its files, in their order."""
    return _document(merged(texts, name))


def defaults() -> Document:
    """The built-in defaults alone."""
    return Document(MapNode(Mark("built-in defaults")))


def parse(text: str, name: str = "<text>") -> Document:
    """Read a configuration from a text (which says something, if only in a comment)."""
    return read_texts({Path(name): text}, name)


def _deadlines(root: MapNode, kind: RunKind, reason: Reason) -> Iterator[float]:
    for path in ((kind.value, "by_reason", reason.value, "deadline"), (kind.value, "deadline")):
        node: Node | None = root
        for key in path:
            node = node.items.get(key) if isinstance(node, MapNode) else None
        text = node.value if isinstance(node, Scalar) else None
        if text == "none" and reason.voluntary:
            yield math.inf
        with contextlib.suppress(ValueError):
            yield cast("float", parse_duration(text or "no duration"))


def _document(tree: Tree) -> Document:
    # What is wrong with these sections is found a second time, together with all the rest. Reported here, it would hide
    # every other mistake until it is mended.
    bootstrap, _ = validate(Bootstrap, tree.node)
    known = cast("Bootstrap", bootstrap) if bootstrap else Bootstrap()
    return Document(tree.node, tree.texts, tree.problems, known)
