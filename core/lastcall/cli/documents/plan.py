"""What `plan` prints."""

from collections.abc import Mapping
from typing import Any, Literal

from lastcall.api.guests import GuestState, Reason
from lastcall.errors import Problem
from lastcall.formats.values import value
from lastcall.planning.power.stage_table import PlannedStage


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

    `past`: how long it took without its hooks, which are its `calls` of `on_guest_stop`. `watched`: how long it is
    waited for at most where its neighbour stays up; null for a guest that is not watched.
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
    watched: float | None
    facts: Mapping[str, Any]


@value
class PlannedCall:
    """A plugin's hook that is called, or why it is not."""

    plugin: str
    not_run: str | None


@value(kw_only=True)
class ForcedGuest:
    """A guest that would be forced off, and when it would be off if nobody did: seconds from the start of the run."""

    uri: str
    uuid: str
    name: str
    off: float


@value(kw_only=True)
class PlannedChange:
    """A change of a setting, and what earlier runs tell of it."""

    setting: str
    before: str
    after: str
    why: str


@value(kw_only=True)
class RemedyFacts:
    """Changes with which nobody would be forced in the case that was looked at; `over_usually`: when the last guest
    would be off then. `forced_at_worst`: how many would still be forced where every time is used up.
    """

    changes: tuple[PlannedChange, ...]
    over_usually: float
    forced_at_worst: int


@value(kw_only=True)
class WithinFacts:
    """What `--within` asks for. `remedies` are for the case `looked_at`, null where nobody would be forced; `all_tried`
    is false where there was more to try than there was time for. Times in which nobody would be forced are whole
    seconds, null where none would do; `unknown`: guests that no run has seen, so that nothing is said of them.
    """

    seconds: float
    forced_usually: tuple[ForcedGuest, ...]
    forced_at_worst: tuple[ForcedGuest, ...]
    unknown: tuple[str, ...]
    looked_at: Literal["usual", "worst"] | None
    remedies: tuple[RemedyFacts, ...]
    all_tried: bool
    enough_usually: int | None
    enough_at_worst: int | None


@value(kw_only=True)
class PlanDocument:
    """The plan of a shutdown. `hooks`: who is called, in this order. `within` is null unless it was asked for.

    `stages`: those of an outage, for a plan of what is shed in it, which is of their guests alone; null for any other.
    """

    version: int = 1
    run: PlannedRun
    guests: tuple[GuestPlan, ...]
    hooks: Mapping[str, tuple[PlannedCall, ...]]
    within: WithinFacts | None = None
    stages: tuple[PlannedStage, ...] | None = None
    problems: tuple[Problem, ...]
