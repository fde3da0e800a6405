"""What `plan` prints."""

from collections.abc import Mapping
from typing import Any

from lastcall.api.guests import GuestState, Reason
from lastcall.errors import Problem
from lastcall.formats.values import value


@value(kw_only=True)
class Milestones:
    """When what comes to an end, in seconds from the start of the run; null = never."""

    last_ask: float | None
    last_resort: float | None
    last_plug: float | None
    last_hook: float | None
    end: float | None


@value
class Chain:
    """The longest chain of guests that wait for each other: its seconds, and their names."""

    seconds: float
    path: tuple[str, ...]


@value
class PastTime:
    """What earlier runs tell of a time: the median of so many of them, and the longest; seconds."""

    usual: float
    longest: float
    runs: int


@value(kw_only=True)
class CallTime:
    """What a plugin's call of a hook may take, by the setting that says so; `past` is null where no run has seen it."""

    hook: str
    plugin: str
    limit: float
    set_by: str
    past: PastTime | None


@value(kw_only=True)
class PlannedRun:
    """The run; `deadline` is seconds, null for no limit. `usual`: by the times of earlier runs, `worst`: by the
    settings; both from the start of the run. `calls`: those of `pre_shutdown`.
    """

    reason: Reason
    deadline: float | None
    milestones: Milestones
    fits: bool
    usual: Chain
    worst: Chain
    calls: tuple[CallTime, ...]


@value
class RungFacts:
    """A rung of a guest's ladder; `timeout` in seconds, null = to the end. `unfit`: why it is skipped."""

    method: str
    timeout: float | None
    unfit: str | None


@value(kw_only=True)
class GuestPlan:
    """What is going to be done to a guest. Times are seconds from the start of the run, null where nothing is known.

    `past`: how long it took without its hooks, which are its `calls` of `on_guest_stop`.
    """

    uri: str
    uuid: str
    name: str
    driver: str
    persistent: bool
    state: GuestState
    waits_for: tuple[str, ...]
    asked_usually: float | None
    asked_latest: float
    takes_usually: float | None
    takes_at_worst: float | None
    past: PastTime | None
    calls: tuple[CallTime, ...]
    stop: tuple[RungFacts, ...]
    last_resort: tuple[str, ...]
    restore: bool
    left_because: str | None
    facts: Mapping[str, Any]


@value
class PlannedCall:
    """A plugin's hook that is called, or why it is not."""

    plugin: str
    not_run: str | None


@value(kw_only=True)
class PlanDocument:
    """The plan of a shutdown. `hooks`: who is called, in this order."""

    version: int = 1
    run: PlannedRun
    guests: tuple[GuestPlan, ...]
    hooks: Mapping[str, tuple[PlannedCall, ...]]
    problems: tuple[Problem, ...]
