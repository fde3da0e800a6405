"""The stages of an outage in their order, and whom each sheds: what `plan --reason shed` shows."""

from collections.abc import Iterable, Iterator, Mapping

from lastcall.api.guests import Guest, Key
from lastcall.api.naming.guest_names import GuestNames
from lastcall.formats.values import value
from lastcall.planning.power.stages import BatteryState, SheddingOrder, ShedStage

_FULL = BatteryState(seconds=-1.0, charge=1000.0, runtime=float("inf"))  # no stage has come
_KINDS = ("after", "below", "runtime_below")


@value(kw_only=True)
class StagedGuest:
    """A guest of a stage. `not_before`: who needs it, runs, and has to be shed before or with it by a stage of its own;
    `never`: who needs it and is never shed, so that it is not, either.
    """

    uri: str
    uuid: str
    name: str
    not_before: tuple[str, ...]
    never: tuple[str, ...]


@value(kw_only=True)
class PlannedStage:
    """A stage, in words, and its guests; one that is shed by several, whichever comes first, is in each."""

    stage: str
    guests: tuple[StagedGuest, ...]


def stage_table(order: SheddingOrder, guests: Iterable[Guest]) -> Iterator[PlannedStage]:
    """Those by time, earliest first, then those by charge and by runtime, which come as a battery runs down."""
    known, in_vain = {guest.key: guest for guest in guests}, order.in_vain()
    for stage in sorted({stage for stages in order.stages.values() for stage in stages}, key=_place):
        waiting = order.waiting(stage.begun(_FULL) or _FULL)
        yield PlannedStage(
            stage=str(stage),
            guests=tuple(
                _staged(guest, waiting.get(key, ()), in_vain.get(key, ()), known)
                for key, guest in known.items()
                if stage in order.stages.get(key, ())
            ),
        )


def stage_lines(stages: Iterable[PlannedStage]) -> Iterator[str]:
    """The same for a person, a line for each."""
    told = tuple(stages)
    names = GuestNames(guest for one in told for guest in one.guests)
    for one in told:
        yield f"{one.stage}: {', '.join(_words(guest, names.of(guest)) for guest in one.guests)}"


def _place(stage: ShedStage) -> tuple[int, float]:
    # Time goes up, a battery down.
    return _KINDS.index(stage.kind), stage.threshold if stage.kind == "after" else -stage.threshold


def _staged(guest: Guest, waits: Iterable[Key], never: Iterable[Key], known: Mapping[Key, Guest]) -> StagedGuest:
    in_the_way = frozenset(never)
    return StagedGuest(
        uri=guest.uri, uuid=guest.uuid, name=guest.name,
        not_before=tuple(sorted(known[key].name for key in waits if key not in in_the_way)),
        never=tuple(sorted(known[key].name for key in in_the_way)),
    )  # fmt: skip


def _words(guest: StagedGuest, name: str) -> str:
    if guest.never:
        return f"{name} (never, as long as {', '.join(guest.never)} needs it)"
    return f"{name} (not before {', '.join(guest.not_before)})" if guest.not_before else name
