"""What a run leaves behind: attempts, hook records, problems, guest results and the report; and what a check does.

Times are seconds since the start of the run, durations are seconds.
"""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any

from lastcall.api.guests import Ended, Guest, GuestState, Outcome, Reason, RunKind
from lastcall.api.matching import only_one
from lastcall.errors import Problem
from lastcall.formats.values import value


class Verdict(StrEnum):
    """How one hook call, or one attempt that did not stop its guest, ended."""

    OK = "ok"
    SKIPPED = "skipped"
    FAILED = "failed"
    TIMEOUT = "timeout"


FAILURES = frozenset({Verdict.FAILED, Verdict.TIMEOUT})
"""How a call or an attempt ends that did not do its work, or not in its time."""


@value(frozen=True, kw_only=True)
class Attempt:
    """One rung of a guest's ladder. `result` is an outcome when the guest went off by it, else a verdict.

    Compare it with `==`: `failed` and `skipped` are both, and `Outcome.FAILED == Verdict.FAILED`.

    `where` is `file:line` of the plugin at which the method failed, or stood when its time was up; `traceback` only for
    unexpected failures.
    """

    method: str
    result: Verdict | Outcome
    started: float
    duration: float
    message: str = ""
    where: str = ""
    traceback: str = ""


@value(frozen=True, kw_only=True)
class HookRecord:
    """One call of one plugin's implementation of one hook.

    `where` is the plugin's `file:line` at which it failed, or stood when its time was up (the file alone for an
    executable); `traceback` only for unexpected failures and for calls that overran. `called` is false where the plugin
    was passed over, as it is not meant for the run, or as no time was left for it (then `result` is `timeout`).
    """

    hook: str
    plugin: str
    result: Verdict
    started: float
    duration: float
    message: str = ""
    where: str = ""
    traceback: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict[str, Any])
    called: bool = True


@value(frozen=True)
class PlannedRung:
    """A rung as it was planned; `timeout` is seconds, null = until the last resort."""

    method: str
    timeout: float | None


@value(frozen=True, kw_only=True)
class PlannedStop:
    """What was planned for a guest's stop when the run began, in seconds from then.

    `usually` is by the times of earlier runs, null where none has seen the guest; `latest` where every time is used up
    that was configured: `off_latest` is null where the guest has until the last resort.
    """

    asked_usually: float | None
    off_usually: float | None
    asked_latest: float
    off_latest: float | None
    rungs: tuple[PlannedRung, ...]
    last_resort: tuple[str, ...]


@value(frozen=True, kw_only=True)
class EarlierStop:
    """How a guest went off that was started again while the run went on. All of it is as in `GuestResult`."""

    outcome: Outcome
    method: str | None
    started: float
    duration: float
    ended: Ended | None
    asked: float | None = None
    message: str = ""
    attempts: tuple[Attempt, ...] = ()
    hooks: tuple[HookRecord, ...] = ()


@value(frozen=True, kw_only=True)
class GuestResult:
    """What became of one guest. `method` is null when it went off by itself or did not go off.

    `planned` is null in a restore, for a guest that came up late, and in reports of earlier versions. `stage`: by which
    stage of an outage it was shed, as in `after 5min on battery`; empty for any other guest. `moved_to` and
    `moved_from`: the URI of the host that it was moved to, or back from; empty for any other guest. `earlier`: how it
    went off before in this run, where somebody has started it again; the rest is about the last time.
    """

    name: str
    uuid: str
    uri: str
    outcome: Outcome
    method: str | None
    started: float
    duration: float
    state_before: GuestState
    persistent: bool
    ended: Ended | None = None
    asked: float | None = None
    waited_for: tuple[str, ...] = ()
    out_of_order: bool = False
    message: str = ""
    attempts: tuple[Attempt, ...] = ()
    hooks: tuple[HookRecord, ...] = ()
    driver: str = "QEMU"
    planned: PlannedStop | None = None
    stage: str = ""
    moved_to: str = ""
    moved_from: str = ""
    earlier: tuple[EarlierStop, ...] = ()

    @property
    def stops(self) -> "tuple[GuestResult | EarlierStop, ...]":
        """Each time that it was to stop in this run, the last one at the end."""
        return (*self.earlier, self)

    @property
    def guest(self) -> Guest:
        """The guest that it is about, as it was at planning: for `run.options`, say, or `run.domain`."""
        return Guest(
            uri=self.uri, uuid=self.uuid, name=self.name, driver=self.driver, persistent=self.persistent,
            state=self.state_before,
        )  # fmt: skip


@value(frozen=True, kw_only=True)
class RunFacts:
    """The facts of one run. `started` is RFC 3339; `deadline` is seconds, null for no limit.

    `last_ask`: when whoever had not been asked was to be asked; `last_resort`: when the last resort was to begin, or in
    a voluntary run the waiting to end. Both are null without a deadline, and in a restore. `mains_back`: when the mains
    came back for want of which the run took place, null where they did not, or went again. It has turned round then,
    unless its reason is still a host stop's.
    """

    id: str
    kind: RunKind
    reason: Reason
    started: str
    duration: float
    deadline: float | None
    exit_code: int
    boot_id: str
    host: str
    config: str
    versions: Mapping[str, str]
    last_ask: float | None = None
    last_resort: float | None = None
    mains_back: float | None = None


@value(frozen=True, kw_only=True)
class Report:
    """What one run did."""

    version: int
    run: RunFacts
    guests: tuple[GuestResult, ...]
    hooks: tuple[HookRecord, ...]
    problems: tuple[Problem, ...]

    def guest(self, name: str, *, uri: str | None = None) -> GuestResult:
        """What became of the guest with this name or UUID, on the connection `uri` where that is given.

        Raises `UnknownGuest` where there is none, and `AmbiguousGuest` where several connections have one.
        """
        return only_one(name, self.guests, uri)


@value(frozen=True, kw_only=True)
class StopForecast:
    """What a host stop would be like; all in seconds from its start.

    `usual` by the times of earlier runs, which tell nothing of `unknown` guests, null where they tell of none; `worst`
    by every time that is configured: what lasts until the last resort counts so. `last_resort`: when whoever still runs
    is forced off. `deadline` and `last_resort` are null where there is none. `fits`: nobody is, even at worst.
    """

    guests: int
    unknown: int
    usual: float | None
    worst: float
    last_resort: float | None
    deadline: float | None
    fits: bool


@value(frozen=True, kw_only=True)
class CheckFindings:
    """What `lastcall check` has found, and how things stand beside it.

    `at` is RFC 3339. `unseen`: runs with guests that were forced off, left or failed, and that nobody has seen yet.
    `forecast`: the next host stop (`reason: poweroff`), null where no plan could be made. `runs`: the last shutdown and
    the last restore that came to their end, as far as there are any.
    """

    version: int = 1
    at: str
    problems: tuple[Problem, ...]
    on_duty: bool
    unseen: int
    forecast: StopForecast | None
    runs: tuple[Report, ...]
