"""What happens in a run, as typed records: one stream, from which run log, progress and report are made.

`at` is seconds since the start of the run, and so is `until`, by which what begins has to be over; None = by its end.
"""

from collections.abc import Callable
from typing import Literal, TypeAlias

from lastcall.api.guests import Ended, Guest, GuestState, Key, Outcome, Reason, RunKind
from lastcall.api.results import Attempt, HookRecord, PlannedStop
from lastcall.errors import Problem
from lastcall.formats.values import value


@value(kw_only=True)
class RunStarted:
    """A run begins. `started` is RFC 3339, `deadline` seconds; `last_ask` and `last_resort` as in `RunFacts`."""

    at: float
    id: str
    kind: RunKind
    reason: Reason
    started: str
    deadline: float | None
    boot_id: str
    host: str
    config: Literal["file", "last_good", "defaults"]
    versions: dict[str, str]
    last_ask: float | None = None
    last_resort: float | None = None


@value(kw_only=True)
class RunJoined:
    """Another process wanted to stop the host: this run becomes that one. Its times are as in `RunStarted`."""

    at: float
    reason: Reason
    deadline: float | None
    last_ask: float | None = None
    last_resort: float | None = None


@value(kw_only=True)
class PowerChanged:
    """The mains are `back`, or gone again. `turned`: nobody else is asked for as long as they are; else the host stops
    all the same. Its times are as in `RunStarted`.
    """

    at: float
    back: bool
    turned: bool
    reason: Reason
    deadline: float | None
    last_ask: float | None = None
    last_resort: float | None = None


@value(kw_only=True)
class ChargeAwaited:
    """Before anybody is started the battery has to have its charge, in per cent; `over`: it is waited for no longer.

    `deadline` is that of the run, in whose time this does not count.
    """

    at: float
    charge: float
    wanted: float
    over: bool
    deadline: float | None


@value(kw_only=True)
class RunInterrupted:
    """A signal told the run to end. `times`: how often by now, as what it is since another one joined it.

    Its moments are as in `RunStarted`, and may be nearer than they were.
    """

    at: float
    times: int
    last_ask: float | None = None
    last_resort: float | None = None


@value(kw_only=True)
class GuestPlanned:
    """A guest belongs to the run. `stage`: the one of an outage by which it is shed, in words."""

    at: float
    guest: Guest
    stage: str = ""


@value(kw_only=True)
class GuestForeseen:
    """What is planned for a guest."""

    guest: Key
    planned: PlannedStop


@value(kw_only=True)
class StopsForeseen:
    """What is planned for the guests of the run, all in one: of a thousand, a record each would hold up the first."""

    at: float
    guests: tuple[GuestForeseen, ...]


@value(kw_only=True)
class GuestBegun:
    """It is this guest's turn. `waited_for`: the names of those that had to be done first."""

    at: float
    guest: Key
    waited_for: tuple[str, ...] = ()


@value(kw_only=True)
class GuestHeld:
    """What somebody else does with a guest has to be waited for. `by`: `a backup`, say."""

    at: float
    guest: Key
    by: str
    until: float | None = None


@value(kw_only=True)
class GuestAsked:
    """A method is called that is to stop (or start) the guest; whether it was heard, the attempt's end says."""

    at: float
    guest: Key
    method: str
    attempt: int = 1
    out_of_order: bool = False
    until: float | None = None
    last_resort: bool = False


@value(kw_only=True)
class GuestWentOff:
    """libvirt says that a guest is off."""

    at: float
    guest: Key
    ended: Ended


@value(kw_only=True)
class AttemptEnded:
    """One rung of a guest's ladder is over. `heard`: when the request left that took effect, as far as anybody knows.

    `asks`: it is one that asks the guest, and neither prepares it nor is the last resort.
    """

    at: float
    guest: Key
    attempt: Attempt
    heard: float | None = None
    asks: bool = True


@value(kw_only=True)
class HookBegun:
    """A plugin is called. `guest` is null for the hooks of the run."""

    at: float
    guest: Key | None
    hook: str
    plugin: str
    until: float | None = None


@value(kw_only=True)
class HookSaid:
    """A line of a plugin's output."""

    at: float
    guest: Key | None
    hook: str
    plugin: str
    line: str


@value(kw_only=True)
class HookEnded:
    """A plugin's call is over."""

    at: float
    guest: Key | None
    record: HookRecord


@value(kw_only=True)
class GuestEnded:
    """What became of a guest is decided. `moved_to`, `moved_from`: as in `GuestResult`."""

    at: float
    guest: Key
    outcome: Outcome
    method: str | None = None
    ended: Ended | None = None
    message: str = ""
    state: GuestState = GuestState.UNKNOWN
    moved_to: str = ""
    moved_from: str = ""


@value(kw_only=True)
class ProblemFound:
    """Something is not as it should be."""

    at: float
    problem: Problem


@value(kw_only=True)
class RunEnded:
    """The run is over."""

    at: float
    exit_code: int


Record: TypeAlias = (
    RunStarted
    | RunJoined
    | PowerChanged
    | ChargeAwaited
    | RunInterrupted
    | GuestPlanned
    | StopsForeseen
    | GuestBegun
    | GuestHeld
    | GuestAsked
    | GuestWentOff
    | AttemptEnded
    | HookBegun
    | HookSaid
    | HookEnded
    | GuestEnded
    | ProblemFound
    | RunEnded
)
Sink: TypeAlias = Callable[[Record], Problem | None]
"""What takes records; a problem that it returns becomes one of the run."""
