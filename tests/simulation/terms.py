"""By which terms a run goes on at a moment, where the mains come and go: as its records tell them."""

import math
from dataclasses import dataclass

from lastcall import Reason
from lastcall.records.records import PowerChanged, RunInterrupted, RunJoined, RunStarted
from simulation.history import Played


@dataclass(frozen=True, slots=True, kw_only=True)
class Era:
    """A part of a run with the same terms; times in seconds from its start. `turned`: since the mains are back.

    `signals`: when it was told to end by some that bring the last resort forward.
    """

    since: float
    until: float
    reason: Reason
    turned: bool
    limit: float
    last_ask: float | None
    last_resort: float | None
    signals: tuple[float, ...]


def eras(run: Played) -> list[Era]:
    """All of them, in order."""
    found: list[Era] = []
    changes = [one for one in run.records if isinstance(one, RunStarted | RunJoined | PowerChanged)]
    told = [one.at for one in run.records if isinstance(one, RunInterrupted)]
    for number, one in enumerate(changes):
        until = changes[number + 1].at if number + 1 < len(changes) else math.inf
        # A host that stops all the same, or has another deadline by now, does not forget that it was told to end.
        goes_on = bool(found) and not found[-1].turned and not (isinstance(one, PowerChanged) and one.turned)
        before = found[-1].signals if goes_on else ()
        signals = tuple(at for at in told if one.at <= at < until) if not one.reason.voluntary else ()
        found.append(
            Era(
                since=one.at,
                until=until,
                reason=one.reason,
                turned=isinstance(one, PowerChanged) and one.turned,
                limit=math.inf if one.deadline is None else one.deadline,
                last_ask=one.last_ask,
                last_resort=one.last_resort,
                signals=(*before, *signals),
            )
        )
    return found


def era_at(run: Played, moment: float) -> Era | None:
    """The one at a moment of the loop's clock; None where the run has not even begun."""
    return next((era for era in reversed(eras(run)) if run.began + era.since <= moment + 1e-6), None)
