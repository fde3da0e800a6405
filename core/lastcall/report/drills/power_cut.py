"""How long a power cut would take tonight, by what is known of all guests by now."""

import math
from collections.abc import Mapping

from lastcall.api.guests import Key
from lastcall.formats.quantities import format_duration
from lastcall.formats.values import value
from lastcall.planning.worst_case import Outlook

_NAMED = 3  # guests


@value(kw_only=True)
class PowerCut:
    """A host stop as it would be. Seconds: `usual` by earlier runs, `worst` by the settings, `last_resort` when guests
    that still run are forced off, `deadline` when all is over.

    `unknown`: guests that no run has seen go off, which count nothing in `usual`. `fits`: nobody has to be forced off.
    """

    usual: float
    worst: float
    last_resort: float
    deadline: float
    unknown: tuple[str, ...]
    fits: bool


def power_cut(outlook: Outlook, names: Mapping[Key, str]) -> PowerCut:
    """By the plan of a host stop; `names` of its guests."""
    deadline = outlook.deadline
    return PowerCut(
        usual=round(outlook.usual_end, 2),
        worst=round(outlook.hooks.before + outlook.longest[0], 2),
        last_resort=round(deadline.last_resort, 2),
        deadline=round(deadline.end, 2),
        unknown=tuple(sorted(names[key] for key in outlook.unknown)),
        fits=outlook.usual_end <= deadline.last_resort,
    )


def power_cut_line(cut: PowerCut) -> str:
    """`tonight's power cut would take 3min40s; the deadline is 10min`; names are as they are."""
    least = "at least " if cut.unknown else ""
    told = f"tonight's power cut would take {least}{_time(cut.usual)}; the deadline is {_time(cut.deadline)}"
    if not cut.fits:
        told += f", and who still runs after {_time(cut.last_resort)} is forced off"
    if cut.unknown:
        more = f" and {len(cut.unknown) - _NAMED} more" if len(cut.unknown) > _NAMED else ""
        told += f" (no run has seen {', '.join(cut.unknown[:_NAMED])}{more} go; at worst {_time(cut.worst)})"
    return told


def _time(seconds: float) -> str:
    # Half a second more or less is no news to somebody who asks about a night.
    return format_duration(math.ceil(seconds))
