"""Configuration and plugins together, which need each other; no libvirt yet."""

import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from lastcall.api.guests import Reason, RunKind
from lastcall.config.files import DEFAULT_FILE, config_file
from lastcall.config.load import Document, defaults, read
from lastcall.config.settings import Settings, ShutdownSettings
from lastcall.errors import ConfigInvalid, Problem, in_words
from lastcall.formats.values import value
from lastcall.hooks.discovery import Plugins
from lastcall.hooks.load_time import LoadTime
from lastcall.persistence.last_good import LastGood
from lastcall.persistence.last_line import note_deadline

ConfigOrigin = Literal["file", "last_good", "defaults"]


@value
class Loaded:
    """The configuration and the plugins. `problems` are those of a configuration that a host stop goes without.

    `keep`, which blocks, makes this configuration the last good one: to be called once it led to a connection. None
    where it is not what the host lives by. `shutdown`: that of the settings before what differs for their reason; None
    where nothing was made to differ.
    """

    settings: Settings
    plugins: Plugins
    origin: ConfigOrigin
    document: Document
    problems: tuple[Problem, ...] = ()
    keep: Callable[[], None] | None = None
    shutdown: ShutdownSettings | None = None

    def for_reason(self, reason: Reason) -> "Loaded":
        """The same with the settings for this reason."""
        return replace(self, settings=self.settings.for_reason(reason), shutdown=self.for_any_reason)

    @property
    def for_any_reason(self) -> ShutdownSettings:
        """The settings of a shutdown before what differs for the reason of this one."""
        return self.shutdown or self.settings.shutdown


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

    A configuration that is broken, or a file that somebody has named, raises ConfigInvalid. A host stop by the default
    path goes on with the last good configuration, or with the defaults, loudly, whatever went wrong.
    """
    kept = last_good or LastGood()
    loader = _Loader(reason, allowance, kept)
    _, named = config_file(config)
    try:
        document = read(config)
        loaded = loader.load(document, "file" if document.files else "defaults")
    # Everything, also what pydantic's core or an exit of a plugin raises: no mistake in a file, and no bug of ours or
    # others, must cost the guests their last call.
    except BaseException as error:
        # Another file instead of the one that was named would stop the guests of another daemon.
        if reason.voluntary or named or isinstance(error, KeyboardInterrupt):
            raise
        return loader.fall_back(_problems_of(error))
    # What a user tries out with --config is not what the host lives by.
    if document.files and not named and os.geteuid() == 0:
        return replace(loaded, keep=partial(_keep, kept, document, loaded.settings.paths.state))
    return loaded


def _keep(kept: LastGood, document: Document, state: Path) -> None:
    kept.remember(document.texts)
    limit = document.deadline(RunKind.SHUTDOWN, Reason.POWEROFF)
    note_deadline(state, limit if math.isfinite(limit) else defaults().deadline(RunKind.SHUTDOWN, Reason.POWEROFF))


def load_anyway(config: Path | None, tell: Callable[[str], None]) -> Loaded:
    """The same for who only looks at what happened: what is broken at the default path is told of, and gone without.

    Raises ConfigInvalid for a file that somebody has named: what happened by another would be taken for its own.
    """
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

    def load(
        self, document: Document, origin: ConfigOrigin, problems: Iterable[Problem] = (), *, bundled_only: bool = False
    ) -> Loaded:
        """Raises ConfigInvalid."""
        if self._allowance and not self._time:
            self._time = LoadTime(self._allowance.ends(document, self._reason))
        plugins = Plugins(document.bootstrap, load_time=self._time, bundled_only=bundled_only)
        return Loaded(plugins.settings(document), plugins, origin, document, tuple(problems))

    def fall_back(self, problems: Sequence[Problem]) -> Loaded:
        """The last good configuration, as far as today's plugins understand it; else the defaults. Each first with all
        plugins, then with those alone that we bring along ourselves.
        """
        for read_it, origin in _OTHERS:
            for bundled_only in (False, True):
                try:
                    document = read_it(self._last_good)
                    return self.load(document, origin, problems, bundled_only=bundled_only)
                except BaseException:  # noqa: BLE001, S112  its problems would hide those of the file
                    continue
        raise ConfigInvalid(problems)


_OTHERS: Sequence[tuple[Callable[[LastGood], Document], ConfigOrigin]] = (
    (LastGood.recall, "last_good"),
    (lambda _: defaults(), "defaults"),
)


def _problems_of(error: BaseException) -> Sequence[Problem]:
    if isinstance(error, ConfigInvalid):
        return error.problems
    remedy = "`lastcall config check` says more"
    return [
        Problem(what="config", where=str(DEFAULT_FILE), message=f"cannot be used: {in_words(error)}", remedy=remedy)
    ]
