"""Who would be forced off in the time that there is, and in how much time nobody would."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from lastcall.api.guests import Key
from lastcall.formats.values import value
from lastcall.planning.plan import PlannedGuest
from lastcall.planning.within.scenario import Played
from lastcall.planning.worst_case import Outlook, at_worst, is_endless
from lastcall.timing.budget import STEP
from lastcall.timing.deadline import Deadline

LONGEST = 48 * 3600  # seconds; a run that needs more is none that anybody waits for


@value(kw_only=True)
class Forced:
    """The guests that would be forced, and when each would be off if nobody did; seconds from the start of the run.

    `usually`: by the times of earlier runs, which say nothing of guests that none has seen. `at_worst`: if every time
    is used up that is configured.
    """

    usually: Mapping[Key, float]
    at_worst: Mapping[Key, float]


def find_forced(played: Played) -> Forced:
    """Who would be forced, in the scenario's own deadline."""
    return Forced(usually=dict(_usually(played)), at_worst=dict(_at_worst(played)))


def least_time(played: Played, cut: Callable[[float], Deadline], *, worst: bool) -> int | None:
    """The least deadline in whole seconds in which nobody is forced; None = no time would do.

    `cut`: what becomes of so many seconds. `worst`: where every time is used up, else by the times of earlier runs.
    """

    def enough(seconds: int) -> bool:
        hooks = replace(played.outlook.hooks, limit=min(played.outlook.hooks.budget, STEP.of(seconds)))
        outlook = replace(played.outlook, hooks=hooks, deadline=cut(seconds))
        return not any((_at_worst if worst else _usually)(Played(played.guests, outlook)))

    too_little, most = 0, LONGEST
    if not enough(most):
        return None
    while most - too_little > 1:
        middle = (most + too_little) // 2
        too_little, most = (too_little, middle) if enough(middle) else (middle, most)
    return most


def _usually(played: Played) -> Iterator[tuple[Key, float]]:
    outlook = played.outlook
    for planned in _stopped(played):
        key = planned.guest.key
        own = outlook.own.get(key)
        if own:
            begins = outlook.hooks.usually_before + outlook.usual.starts.get(key, 0.0)
            off = _asked(outlook, begins + outlook.hooks.expected_of(key)) + own.seconds
            # A ladder that is shorter than what the guest needs ends with the last resort, however much time is left.
            if off > outlook.deadline.last_resort or (not is_endless(planned) and own.seconds > at_worst(planned)):
                yield key, off


def _at_worst(played: Played) -> Iterator[tuple[Key, float]]:
    outlook = played.outlook
    for planned in _stopped(played):
        key = planned.guest.key
        begins = outlook.hooks.before + outlook.worst.starts.get(key, 0.0)
        off = _asked(outlook, begins + outlook.hooks.most_of(key)) + _most(planned, outlook)
        if off > outlook.deadline.last_resort:
            yield key, off


def _most(planned: PlannedGuest, outlook: Outlook) -> float:
    """All the time that is meant for a guest. A rung that lasts to the end is to last as long as it was ever needed."""
    if not is_endless(planned):
        return at_worst(planned)
    own = outlook.own.get(planned.guest.key)
    return at_worst(planned) + (own.longest if own else planned.timeout or 0.0)


def _asked(outlook: Outlook, hooks_over: float) -> float:
    """When a guest is asked: once its hooks are over, or when everybody is."""
    return min(hooks_over, outlook.deadline.last_ask)


def _stopped(played: Played) -> Iterator[PlannedGuest]:
    # Without a rung it goes straight to the last resort: it hears nothing any more, and is forced in any case.
    return (planned for planned in played.guests if planned.steps and not planned.left_because)
