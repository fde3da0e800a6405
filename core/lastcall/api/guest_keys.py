"""The guest keys of the core: what they come to for one guest."""

from collections.abc import Mapping
from typing import Literal

from lastcall.formats.values import value


@value(frozen=True, kw_only=True)
class GuestHooks:
    """What differs for the hooks of one guest. `timeout`: seconds of one call; None = as for all guests."""

    timeout: float | None = None


@value(frozen=True, kw_only=True)
class GuestSettings:
    """What counts for one guest after defaults, metadata, plugins and rules: a field for each guest key of the core.

    Durations are seconds. `stop` and `last_resort` are names of stop methods, none for a guest that is left running;
    each of `depends_on` is what a rule's `match` may say. What plugins declare is theirs alone: see `Run.options`.
    """

    manage: bool
    depends_on: tuple[Mapping[str, str], ...]
    order: int | None
    stop: tuple[str, ...]
    timeout: float
    last_resort: tuple[str, ...]
    paused: Literal["save", "resume", "leave"]
    jobs: Literal["wait", "abort"]
    transient: Literal["stop", "leave"]
    restore: bool | Literal["always"]
    start_delay: float
    ready_timeout: float
    shell: tuple[str, ...]
    hooks: GuestHooks
