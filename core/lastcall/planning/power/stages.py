"""Who is shed when: each guest by its own `shed`, and none before those that run and need it."""

import math
from collections.abc import Container, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Literal, TypeAlias

from lastcall.api.guest_keys import GuestShedding
from lastcall.api.guests import Guest, Key
from lastcall.config.policies import Policies
from lastcall.config.policy.management import is_ours
from lastcall.config.policy.view import shedding_of
from lastcall.formats.quantities import format_duration
from lastcall.formats.values import value
from lastcall.ordering.graph import Graph
from lastcall.ordering.nodes import Node, Rank, reached

StageKind: TypeAlias = Literal["after", "below", "runtime_below"]
_KINDS: tuple[StageKind, ...] = ("after", "below", "runtime_below")


@value(frozen=True, kw_only=True)
class BatteryState:
    """What is known of an outage: how long it has lasted (seconds), the charge that is left (per cent) and how long
    that lasts (seconds); None where nobody says.
    """

    seconds: float
    charge: float | None = None
    runtime: float | None = None


@value(frozen=True)
class ShedStage:
    """One thing that has to hold: `after` so many seconds, `below` so many per cent, or so many seconds of runtime."""

    kind: StageKind
    threshold: float

    def holds(self, power: BatteryState) -> bool:
        """Whether it does; what nobody says holds never."""
        if self.kind == "after":
            return power.seconds >= self.threshold
        found = power.charge if self.kind == "below" else power.runtime
        return found is not None and found < self.threshold

    def begun(self, power: BatteryState) -> BatteryState | None:
        """The outage at the moment from which it holds, all else as it is; None where it holds, or nobody can say."""
        if self.holds(power):
            return None
        if self.kind == "after":
            return replace(power, seconds=self.threshold)
        below = math.nextafter(self.threshold, -math.inf)
        if self.kind == "below":
            return None if power.charge is None else replace(power, charge=below)
        return None if power.runtime is None else replace(power, runtime=below)

    def comes_after(self, other: "ShedStage") -> bool:
        """Whether it does for certain: time goes up, a battery down, and of one measure and another nobody knows."""
        later = self.threshold > other.threshold if self.kind == "after" else self.threshold < other.threshold
        return self.kind == other.kind and later

    def __str__(self) -> str:
        if self.kind == "below":
            return f"below {self.threshold:g}% of charge"
        time = format_duration(self.threshold)
        return f"after {time} on battery" if self.kind == "after" else f"below {time} of runtime"


@value(frozen=True)
class NextStage:
    """A stage that is to come, and whom it sheds. `seconds` until then, None where the battery decides."""

    stage: ShedStage
    guests: tuple[Key, ...]
    seconds: float | None


def stages_of(shedding: GuestShedding) -> tuple[ShedStage, ...]:
    """What a guest is shed by, any of which is enough; none for one that never is."""
    given: dict[StageKind, float | None] = {
        "after": shedding.after, "below": shedding.below, "runtime_below": shedding.runtime_below
    }  # fmt: skip
    return tuple(ShedStage(kind, threshold) for kind, threshold in given.items() if threshold is not None)


def sheddings(guests: Iterable[Guest], policies: Policies) -> dict[Key, GuestShedding]:
    """By what guests are shed, of those that are ours."""
    found = {guest.key: policies.of(guest) for guest in guests}
    return {key: shedding_of(policy) for key, policy in found.items() if is_ours(policy)}


class SheddingOrder:
    """Judges the guests that run. `wanted`: by what each is shed, of those that may be; all others never are.

    `graph` has all that run, also who is left alone: whoever is needed by one of them stays.
    """

    def __init__(self, wanted: Mapping[Key, GuestShedding], graph: Graph) -> None:
        self._stages = {key: found for key, shed in wanted.items() if (found := stages_of(shed))}
        self._needs, self._needed_by = graph.needs, graph.needed_by

    @property
    def stages(self) -> Mapping[Key, tuple[ShedStage, ...]]:
        """By what each guest is shed, of those that are at all."""
        return self._stages

    def own(self, power: BatteryState) -> dict[Key, ShedStage]:
        """Whose own stage has come, whoever needs it; of several that hold, the one that is named first."""
        holds = ((key, next((one for one in stages if one.holds(power)), None)) for key, stages in self._stages.items())
        return {key: stage for key, stage in holds if stage}

    def due(self, power: BatteryState) -> dict[Key, ShedStage]:
        """Whom to shed now, and by which of its stages: each with all that run and need it, or not at all."""
        holding = self.own(power)
        held = self._held(holding)
        return {key: stage for key, stage in holding.items() if key not in held}

    def waiting(self, power: BatteryState) -> dict[Key, tuple[Key, ...]]:
        """Who would be shed by its own stage now, and for whom it waits that runs, needs it, and stays."""
        holding = self.own(power)
        held = self._held(holding)
        return {key: self._needed(key, without=holding) for key in holding if key in held}

    def in_vain(self) -> dict[Key, tuple[Key, ...]]:
        """Whose `shed` has no effect, and the guests that need it and are never shed."""
        found = {key: self._needed(key, without=self._stages) for key in self._stages}
        return {key: never for key, never in found.items() if never}

    def too_early(self) -> dict[Key, dict[ShedStage, tuple[Key, ShedStage]]]:
        """The stages of each guest that shed nobody, and who needs it and goes last, by the same measure."""
        found = {key: dict(self._outlasting(key, stages)) for key, stages in self._stages.items()}
        return {key: stages for key, stages in found.items() if stages}

    def _outlasting(self, key: Key, stages: Iterable[ShedStage]) -> Iterator[tuple[ShedStage, tuple[Key, ShedStage]]]:
        theirs = [(other, one) for other in self.needed_until(key) for one in self._stages.get(other, ())]
        for stage in stages:
            later = [(other, one) for other, one in theirs if one.comes_after(stage)]
            if later:
                yield stage, max(later, key=lambda pair: abs(pair[1].threshold - stage.threshold))

    def needed_until(self, key: Key) -> tuple[Key, ...]:
        """The guests that run, need it and have to be shed before, or with it."""
        return self._needed(key, without=())

    def coming(self, power: BatteryState) -> tuple[NextStage, ...]:
        """What comes next: of each kind the nearest stage that sheds somebody, as far as it can be told."""
        now = self.due(power).keys()
        found = (self._next(kind, power, now) for kind in _KINDS)
        return tuple(stage for stage in found if stage)

    def _next(self, kind: StageKind, power: BatteryState, now: AbstractSet[Key]) -> NextStage | None:
        to_come = {stage for stages in self._stages.values() for stage in stages if stage.kind == kind}
        # Time goes up, a battery down: the nearest is the earliest, or that of the greatest rest.
        for stage in sorted(to_come, key=lambda one: one.threshold, reverse=kind != "after"):
            then = stage.begun(power)
            more = tuple(key for key in self.due(then) if key not in now) if then else ()
            if more:
                return NextStage(stage, more, stage.threshold - power.seconds if kind == "after" else None)
        return None

    def _held(self, holding: Container[Key]) -> set[Node]:
        """Everybody that stays, and everybody that they need."""
        held = {node for node in self._needs if not isinstance(node, Rank) and node not in holding}
        return held | reached(held, self._needs)

    def _needed(self, key: Key, *, without: Container[Key]) -> tuple[Key, ...]:
        """Who needs it, directly or by others, apart from some."""
        needing = reached({key}, self._needed_by)
        return tuple(node for node in self._needed_by
                     if node in needing and not isinstance(node, Rank) and node not in without)  # fmt: skip
