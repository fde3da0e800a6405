"""How long a power cut would take tonight, told by what is known of all guests by now."""

import math

from lastcall.api.results import StopForecast
from lastcall.formats.bounded_text import first_names
from lastcall.formats.quantities import format_duration
from lastcall.formats.values import value

_NAMED = 3  # guests


@value
class PowerCut:
    """What it would be like, and the `unknown` guests, that no run has seen go off, by name; `called`: as people know
    them.
    """

    forecast: StopForecast
    unknown: tuple[str, ...]
    called: tuple[str, ...]


def power_cut_line(found: PowerCut) -> str:
    """`tonight's power cut would take 3min40s; the deadline is 10min`; names are as they are."""
    cut, unknown = found.forecast, found.called
    told = _usual(cut)
    if cut.deadline is not None:
        told += f"; the deadline is {_time(cut.deadline)}"
    if cut.last_resort is not None and (cut.usual or 0.0) > cut.last_resort:
        told += f", and who still runs after {_time(cut.last_resort)} is forced off"
    if unknown:
        told += f" (no run has seen {first_names(unknown, _NAMED)} go; at worst {_time(cut.worst)})"
    return told


def _usual(cut: StopForecast) -> str:
    if cut.usual is None:
        return "how long tonight's power cut would take is not known"
    return f"tonight's power cut would take {'at least ' if cut.unknown else ''}{_time(cut.usual)}"


def _time(seconds: float) -> str:
    # Half a second more or less is no news to somebody who asks about a night.
    return format_duration(math.ceil(seconds))
