"""What a given time means for the guests, told to a person: who would be forced, what avoids it, what time would do."""

from collections.abc import Iterator, Mapping

from lastcall.api.guests import Key
from lastcall.formats.layout.folding import fold_names
from lastcall.formats.layout.screen import PLAIN, Screen
from lastcall.formats.quantities import format_duration
from lastcall.planning.within.remedies import Remedy
from lastcall.planning.within.verdict import TimeVerdict
from lastcall.planning.worst_case import Outlook


def within_lines(
    verdict: TimeVerdict, outlook: Outlook, names: Mapping[Key, str], screen: Screen = PLAIN
) -> Iterator[str]:
    """The verdict, a line for each thing that it says."""
    asked, search = format_duration(verdict.seconds), verdict.search
    yield f"within {asked}:"
    yield f"  by the times of earlier runs {_forced(verdict.forced.usually, names, screen)}"
    if outlook.unknown:
        unseen = fold_names((names[key] for key in outlook.unknown), screen)
        yield f"  of {unseen} nothing is known: no run has seen {'them' if len(outlook.unknown) > 1 else 'it'}"
    yield f"  where every time is used up {_forced(verdict.forced.at_worst, names, screen)}"
    if search is not None:
        case = "where every time is used up" if verdict.for_worst else "by the times of earlier runs"
        if search.remedies:
            yield f"  each of these would avoid it {case}:"
            yield from (f"    {_remedy(remedy, for_worst=verdict.for_worst)}" for remedy in search.remedies)
        else:
            tried = "no change" if search.whole else "none of the changes that were tried"
            yield f"  {tried} of one or two settings would avoid it {case}"
    usually, at_worst = _enough(verdict.least_usually), _enough(verdict.least_at_worst)
    yield f"  time that would do: {usually} by the times of earlier runs, {at_worst} where every time is used up"


def _forced(forced: Mapping[Key, float], names: Mapping[Key, str], screen: Screen) -> str:
    if not forced:
        return "nobody would be forced off"
    latest = format_duration(round(max(forced.values())))
    count = f"{len(forced)} of {len(names)} guests would be forced off"
    return f"{count}: {fold_names((names[key] for key in forced), screen)} (off after {latest} if nobody did)"


def _remedy(remedy: Remedy, *, for_worst: bool) -> str:
    changes = ", and ".join(map(str, remedy.changes))
    left = len(remedy.forced.at_worst)
    still = "" if for_worst else f"; {left or 'none'} forced at worst"
    return f"{changes}; usually over after {format_duration(round(remedy.played.outlook.usual_end))}{still}"


def _enough(seconds: int | None) -> str:
    return "none" if seconds is None else format_duration(seconds)
