"""Configuration and plugins together, which need each other; no libvirt yet."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lastcall.api.guests import Reason
from lastcall.api.results import Problem
from lastcall.config.load import defaults, read
from lastcall.config.models import Bootstrap, Settings
from lastcall.errors import ConfigInvalid
from lastcall.hooks.discovery import Plugins

ConfigOrigin = Literal["file", "last_good", "defaults"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """The configuration and the plugins. `problems` are those of a configuration that a host stop goes without."""

    settings: Settings
    plugins: Plugins
    origin: ConfigOrigin
    files: tuple[Path, ...] = ()
    problems: tuple[Problem, ...] = ()


def load(config: Path | None, reason: Reason = Reason.MANUAL) -> Loaded:
    """Read the configuration and load the plugins.

    A broken configuration raises ConfigInvalid, except for a host stop: that goes on with the defaults, loudly.
    """
    try:
        document = read(config)
        plugins = Plugins(document.bootstrap)
        settings = document.settings(plugins.vocabulary)
    except ConfigInvalid as error:
        if reason.voluntary:
            raise
        plugins = Plugins(Bootstrap())
        settings = defaults().settings(plugins.vocabulary)
        return Loaded(settings, plugins, "defaults", problems=error.problems)
    return Loaded(settings, plugins, "file" if document.files else "defaults", document.files)
