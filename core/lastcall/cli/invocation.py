"""How lastcall was called: the global options, since when the program runs, and the signals since then."""

import time
from collections.abc import Callable
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lastcall.cli.terminal.screens import Wish, screen_of
from lastcall.formats.layout.screen import Screen
from lastcall.formats.values import value
from lastcall.threads.held_signals import HeldSignals
from lastcall.threads.standard_output import OUTPUT

if TYPE_CHECKING:
    from lastcall.config.paths import Places


@value
class Invocation:
    """The global options. `started` (monotonic clock): when a run's time begins, with the program's first line;
    `screens`: what a descriptor leads to.
    """

    config: Path | None = None
    verbose: bool = False
    quiet: bool = False
    color: Wish = "auto"
    started: float = field(default_factory=time.monotonic)
    signals: HeldSignals = field(default_factory=HeldSignals)
    screens: Callable[[int, Wish], Screen] = screen_of

    def screen(self, descriptor: int = OUTPUT) -> Screen:
        """What standard output, or standard error, is seen on; with -v names are whole there."""
        found = self.screens(descriptor, self.color)
        return replace(found, whole=found.whole or self.verbose)

    def places(self, tell: Callable[[str], None] | None = None, *, strict: bool = False) -> "Places":
        """Where things are kept, and whether guests are brought back.

        A configuration that is too broken to say so is told to whoever wants to know, and gone without at the default
        path, as is one that this user may not read; of a file that somebody has named and that is broken anywhere, and
        where somebody is `strict`, ConfigInvalid is raised.
        """
        from lastcall.config.files import config_file
        from lastcall.config.paths import Places, find_places, is_denied

        # Nearly always the plain YAML is enough; pydantic and our models alone cost some 65 ms.
        _, named = config_file(self.config)
        found = find_places(self.config, sure=named)
        if found is None and not named and is_denied():
            found = Places()
            where = f"{found.state} and {found.run}, where things are by default"
            (tell or _ignore)(f"lastcall: the configuration is not for this user to read; looks into {where}")
        if found is None:
            from lastcall.runs.loading import load, load_anyway

            loaded = load(self.config) if strict else load_anyway(self.config, tell or _ignore)
            paths, restore = loaded.settings.paths, loaded.settings.restore
            found = Places(
                paths.state, paths.run, paths.hooks, brings_back=restore.brings_back,
                connections=tuple(one.uri for one in loaded.settings.connections if not one.watch),
                files=loaded.document.files,
            )  # fmt: skip
        return found


def _ignore(_line: str) -> None:
    """Nobody wants to know."""
