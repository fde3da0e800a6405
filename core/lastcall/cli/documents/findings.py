"""What `check`, `plugins` and `hook` print."""

from collections.abc import Mapping
from typing import Literal

from lastcall.api.results import HookRecord
from lastcall.errors import Problem
from lastcall.formats.values import value


@value(kw_only=True)
class CheckDocument:
    """What would make a run fail."""

    version: int = 1
    problems: tuple[Problem, ...]


@value(kw_only=True)
class PluginFacts:
    """A plugin. `reasons`: of the runs that its hooks are for, null = all; `meant_for` says the same in words."""

    name: str
    origin: Literal["bundled", "package", "dropin"]
    where: str
    reasons: tuple[str, ...] | None
    rehearses: bool
    meant_for: str


@value(kw_only=True)
class PluginsDocument:
    """What is loaded. `hooks`: who is called, in this order; methods and shells with the plugin that offers them."""

    version: int = 1
    plugins: tuple[PluginFacts, ...]
    blocked: tuple[str, ...]
    hooks: Mapping[str, tuple[str, ...]]
    stop_methods: Mapping[str, str]
    guest_shells: Mapping[str, str]
    problems: tuple[Problem, ...]


@value
class FiredHook:
    """The calls of one hook; `guest` is null for a hook of the run."""

    guest: str | None
    calls: tuple[HookRecord, ...]


@value(kw_only=True)
class HookDocument:
    """What came of firing one hook."""

    version: int = 1
    hook: str
    fired: tuple[FiredHook, ...]
    problems: tuple[Problem, ...]
