"""What a given time means for the guests: who would be forced, what would avoid it, and how much time would do."""

from collections.abc import Callable

from lastcall.formats.values import value
from lastcall.planning.within.candidates import Candidates
from lastcall.planning.within.forced import Forced, find_forced, least_time
from lastcall.planning.within.remedies import Search, find_remedies
from lastcall.timing.deadline import Deadline


@value(kw_only=True)
class TimeVerdict:
    """`seconds`: the time that there is. `search`: None where nobody would be forced, so that nothing has to be found;
    it is `for_worst` where nobody would be by the times of earlier runs. `least_usually`, `least_at_worst`: the least
    time in seconds that would do; None = none would.
    """

    seconds: float
    forced: Forced
    search: Search | None
    for_worst: bool
    least_usually: int | None
    least_at_worst: int | None


def judge(candidates: Candidates, seconds: float, cut: Callable[[float], Deadline]) -> TimeVerdict:
    """Find all of it. `cut`: what becomes of so many seconds."""
    forced = find_forced(candidates.played)
    worst = not forced.usually
    return TimeVerdict(
        seconds=seconds,
        forced=forced,
        search=find_remedies(candidates, worst=worst) if forced.usually or forced.at_worst else None,
        for_worst=worst,
        least_usually=least_time(candidates.played, cut, worst=False),
        least_at_worst=least_time(candidates.played, cut, worst=True),
    )
