"""Configuration and plugins together, which need each other; no libvirt yet."""

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from lastcall.api.guests import Reason
from lastcall.config.files import config_file
from lastcall.config.load import Document, defaults, read
from lastcall.config.settings import Settings
from lastcall.errors import ConfigInvalid, Problem
from lastcall.formats.values import value
from lastcall.hooks.discovery import Plugins
from lastcall.persistence.last_good import LastGood

ConfigOrigin = Literal["file", "last_good", "defaults"]


@value
class Loaded:
    """The configuration and the plugins. `problems` are those of a configuration that a host stop goes without."""

    settings: Settings
    plugins: Plugins
    origin: ConfigOrigin
    files: tuple[Path, ...] = ()
    problems: tuple[Problem, ...] = ()

    def for_reason(self, reason: Reason) -> "Loaded":
        """The same with the settings for this reason."""
        return replace(self, settings=self.settings.for_reason(reason))


def load(config: Path | None, reason: Reason = Reason.MANUAL, last_good: LastGood | None = None) -> Loaded:
    """Read the configuration and load the plugins.

    A broken configuration raises ConfigInvalid, except for a host stop: that goes on with the last one that was valid,
    or with the defaults, loudly. What root reads from the default path is remembered for that.
    """
    last_good = last_good or LastGood()
    try:
        document = read(config)
        loaded = _loaded(document, "file" if document.files else "defaults")
    except ConfigInvalid as error:
        if reason.voluntary:
            raise
        # A typing error in a file must not cost the guests their last call.
        return _fall_back(error, last_good)
    _, named = config_file(config)
    # What a user tries out with --config is not what the host lives by.
    if document.files and not named and os.geteuid() == 0:
        last_good.remember(document.files)
    return loaded


def load_anyway(config: Path | None, tell: Callable[[str], None]) -> Loaded:
    """The same for who only looks at what happened: a broken configuration is told of, and gone without."""
    loaded = load(config, Reason.OTHER)
    for problem in loaded.problems:
        tell(f"{problem.where}: {problem.message}")
    if loaded.problems:
        kind = "the last good configuration" if loaded.origin == "last_good" else "the defaults"
        tell(f"lastcall: the configuration is broken; this is by {kind}")
    return loaded


def _loaded(document: Document, origin: ConfigOrigin, problems: Iterable[Problem] = ()) -> Loaded:
    plugins = Plugins(document.bootstrap)
    return Loaded(document.settings(plugins.vocabulary), plugins, origin, document.files, tuple(problems))


def _fall_back(error: ConfigInvalid, last_good: LastGood) -> Loaded:
    """The last good configuration, as far as today's plugins understand it; else the defaults."""
    document = last_good.recall()
    if document is not None:
        try:
            return _loaded(document, "last_good", error.problems)
        except ConfigInvalid:
            pass  # a plugin has changed since; its problems would hide those of the file
    return _loaded(defaults(), "defaults", error.problems)
