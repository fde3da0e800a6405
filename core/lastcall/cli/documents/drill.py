"""What `drill` prints."""

from lastcall.api.results import StopForecast
from lastcall.errors import Problem
from lastcall.formats.values import value
from lastcall.report.drills.drilled_guests import DrilledGuest


@value(kw_only=True)
class DrillDocument:
    """A drill. `shutdown` and `restore` are the ids of its runs, null where there was none; `report` tells each.

    `power_cut`: how long one would take by what is known now, null where that could not be planned; `unknown`: guests
    that no run has seen go off.
    """

    version: int = 1
    started: str
    shutdown: str | None
    restore: str | None
    exit_code: int
    guests: tuple[DrilledGuest, ...]
    power_cut: StopForecast | None
    unknown: tuple[str, ...]
    problems: tuple[Problem, ...]
