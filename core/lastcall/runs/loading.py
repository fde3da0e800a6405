"""Configuration and plugins together, which need each other; no libvirt yet."""

import contextlib
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from lastcall.api.guests import Reason, RunKind
from lastcall.config.files import config_file
from lastcall.config.load import Document, defaults, read
from lastcall.config.settings import Settings
from lastcall.errors import ConfigInvalid, Problem
from lastcall.formats.values import value
from lastcall.hooks.discovery import Plugins
from lastcall.hooks.load_time import LoadTime
from lastcall.persistence.last_good import LastGood
from lastcall.threads.box import Box

KEEPING = 1.0  # seconds for the copy of a good configuration: only the next broken one wants it
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


@value
class Allowance:
    """How much time there is, as far as it is known before the configuration is.

    `started` on the monotonic clock; `deadline` in seconds from then, None for what is configured.
    """

    kind: RunKind
    started: float
    deadline: float | None = None

    def ends(self, document: Document, reason: Reason) -> float:
        """When the run has to be over, on the monotonic clock."""
        given = self.deadline
        return self.started + (document.deadline(self.kind, reason) if given is None else given)


def load(
    config: Path | None,
    reason: Reason = Reason.MANUAL,
    last_good: LastGood | None = None,
    allowance: Allowance | None = None,
) -> Loaded:
    """Read the configuration and load the plugins, for a run in a share of what its allowance leaves.

    A broken configuration raises ConfigInvalid, except for a host stop: that goes on with the last one that was valid,
    or with the defaults, loudly. What root reads from the default path is remembered for that.
    """
    loader = _Loader(reason, allowance, last_good or LastGood())
    try:
        document = read(config)
        loaded = loader.load(document, "file" if document.files else "defaults")
    except ConfigInvalid as error:
        if reason.voluntary:
            raise
        # A typing error in a file must not cost the guests their last call.
        return loader.fall_back(error)
    _, named = config_file(config)
    # What a user tries out with --config is not what the host lives by.
    if document.files and not named and os.geteuid() == 0:
        loader.remember(document)
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


class _Loader:
    """Makes settings and plugins of a document, and of others where that is broken, all in the same time."""

    def __init__(self, reason: Reason, allowance: Allowance | None, last_good: LastGood) -> None:
        self._reason, self._allowance, self._last_good = reason, allowance, last_good
        self._time: LoadTime | None = None

    def load(self, document: Document, origin: ConfigOrigin, problems: Iterable[Problem] = ()) -> Loaded:
        """Raises ConfigInvalid."""
        if self._allowance and not self._time:
            self._time = LoadTime(self._allowance.ends(document, self._reason))
        plugins = Plugins(document.bootstrap, load_time=self._time)
        return Loaded(document.settings(plugins.vocabulary), plugins, origin, document.files, tuple(problems))

    def fall_back(self, error: ConfigInvalid) -> Loaded:
        """The last good configuration, as far as today's plugins understand it; else the defaults."""
        document = self._last_good.recall()
        if document is not None:
            try:
                return self.load(document, "last_good", error.problems)
            except ConfigInvalid:
                pass  # a plugin has changed since; its problems would hide those of the file
        return self.load(defaults(), "defaults", error.problems)

    def remember(self, document: Document) -> None:
        """Keep a copy, unless the disk takes its time: a run does not wait for that."""
        with contextlib.suppress(TimeoutError):
            Box().call(lambda: self._last_good.remember(document.files), timeout=KEEPING)
