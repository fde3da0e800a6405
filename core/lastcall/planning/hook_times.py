"""What the hooks of a run may take and usually do: each call's time box, and what earlier runs tell of it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field

from lastcall.api.guests import Key
from lastcall.formats.values import value
from lastcall.planning.history import History, Usual
from lastcall.timing.call_box import CallBox


@value(kw_only=True)
class ExpectedCall:
    """A call that a run is going to make. `limit`: seconds of its time box, which `set_by` is the setting of."""

    hook: str
    plugin: str
    limit: float
    set_by: str
    usual: Usual | None = None

    @property
    def seconds(self) -> float:
        """What it is expected to take: what it usually does, or all of its time box where no run has seen it."""
        return self.limit if self.usual is None else min(self.limit, self.usual.seconds)


@value(kw_only=True)
class HookTimes:
    """The calls of `pre_shutdown`, and those of `on_guest_stop` of each guest.

    `limit`: the seconds that all of `pre_shutdown` has, of the deadline and of its `budget`.
    """

    run: tuple[ExpectedCall, ...] = ()
    limit: float = math.inf
    budget: float = math.inf
    guests: Mapping[Key, tuple[ExpectedCall, ...]] = field(default_factory=dict[Key, tuple[ExpectedCall, ...]])

    @property
    def before(self) -> float:
        """The most that `pre_shutdown` may take."""
        return min(self.limit, most(self.run))

    @property
    def usually_before(self) -> float:
        """What `pre_shutdown` usually takes."""
        return min(self.limit, expected(self.run))

    def most_of(self, key: Key) -> float:
        """The most that the hooks of a guest may take before it is asked."""
        return most(self.guests.get(key, ()))

    def expected_of(self, key: Key) -> float:
        """What the hooks of a guest usually take."""
        return expected(self.guests.get(key, ()))

    def seen_of(self, key: Key) -> float:
        """The same of those alone that an earlier run has seen."""
        return expected(call for call in self.guests.get(key, ()) if call.usual)

    @property
    def guessed(self) -> frozenset[Key | None]:
        """The guests with a call that no run has seen, so that its whole time box counts; None stands for the run."""
        told: dict[Key | None, tuple[ExpectedCall, ...]] = {None: self.run, **self.guests}
        return frozenset(key for key, calls in told.items() if any(not call.usual for call in calls))


@value(kw_only=True)
class HookBoxes:
    """The calls of `pre_shutdown` and of `on_guest_stop` with their time boxes, before anybody knows what they take.

    `limit`, `budget`: as in `HookTimes`.
    """

    run: Sequence[CallBox]
    limit: float
    budget: float
    guests: Mapping[Key, Sequence[CallBox]]

    def with_usual(self, history: History) -> HookTimes:
        """The same with what earlier runs tell."""
        return HookTimes(
            run=tuple(_expected("pre_shutdown", box, None, history) for box in self.run),
            limit=self.limit,
            budget=self.budget,
            guests={
                key: tuple(_expected("on_guest_stop", box, key, history) for box in boxes)
                for key, boxes in self.guests.items()
            },
        )


def _expected(hook: str, box: CallBox, key: Key | None, history: History) -> ExpectedCall:
    usual = history.usual_call(hook, box.plugin, key)
    return ExpectedCall(hook=hook, plugin=box.plugin, limit=box.seconds, set_by=box.set_by, usual=usual)


def most(calls: Iterable[ExpectedCall]) -> float:
    """The time boxes of calls together, in seconds."""
    return math.fsum(call.limit for call in calls)


def expected(calls: Iterable[ExpectedCall]) -> float:
    """What calls are expected to take together, in seconds."""
    return math.fsum(call.seconds for call in calls)
