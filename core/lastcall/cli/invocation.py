"""How lastcall was called: the global options, and since when the program runs."""

import time
from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from lastcall.formats.values import value

if TYPE_CHECKING:
    from lastcall.config.paths import Places


@value
class Invocation:
    """The global options."""

    config: Path | None = None
    verbose: bool = False
    quiet: bool = False
    started: float = field(default_factory=time.monotonic)

    def places(self, tell: Callable[[str], None] | None = None, *, strict: bool = False) -> "Places":
        """Where things are kept.

        Where the configuration is too broken to say, that is told and gone without; or ConfigInvalid is raised, where
        somebody is `strict`.
        """
        from lastcall.config.paths import Places, find_places

        # Nearly always the plain YAML is enough; pydantic and our models alone cost some 65 ms.
        found = find_places(self.config)
        if found is None:
            from lastcall.runs.loading import load, load_anyway

            loaded = load(self.config) if strict else load_anyway(self.config, tell or _ignore)
            paths = loaded.settings.paths
            found = Places(paths.state, paths.run, paths.hooks)
        return found


def _ignore(_line: str) -> None:
    """Nobody wants to know."""
