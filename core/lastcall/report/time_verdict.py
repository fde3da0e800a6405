"""What a given time means for the guests, told to a person: who would be forced, what avoids it, what time would do."""

from collections.abc import Iterator, Mapping

from lastcall.api.guests import Key
from lastcall.formats.layout.columns import paragraph
from lastcall.formats.layout.folding import fold_names
from lastcall.formats.layout.screen import PLAIN, Screen, Tone
from lastcall.formats.quantities import format_duration
from lastcall.planning.within.remedies import Remedy
from lastcall.planning.within.verdict import TimeVerdict
from lastcall.planning.worst_case import Outlook


def within_lines(
    verdict: TimeVerdict, outlook: Outlook, names: Mapping[Key, str], screen: Screen = PLAIN
) -> Iterator[str]:
    """The verdict, a line for each thing that it says."""
    for indent, text, tone in _told(verdict, outlook, names, screen):
        yield from paragraph(text, screen, indent, tone=tone)


def _told(
    verdict: TimeVerdict, outlook: Outlook, names: Mapping[Key, str], screen: Screen
) -> Iterator[tuple[int, str, Tone | None]]:
    """Each thing with how far it is set in, and what it is to its reader."""
    asked, search = format_duration(verdict.seconds), verdict.search
    yield 0, f"within {asked}:", Tone.HEADING
    usually, at_worst = verdict.forced.usually, verdict.forced.at_worst
    known = len(outlook.unknown) < len(names)
    if known or usually:  # of runs that have seen none of them it would be no word of comfort
        yield 2, f"by the times of earlier runs {_forced(usually, names, screen)}", Tone.BAD if usually else Tone.GOOD
    if outlook.unknown:
        unseen = fold_names((names[key] for key in outlook.unknown), screen)
        yield 2, f"of {unseen} nothing is known: no run has seen {'them' if len(outlook.unknown) > 1 else 'it'}", None
    tone = Tone.WARNING if at_worst else Tone.GOOD
    yield 2, f"where every time is used up {_forced(at_worst, names, screen)}", tone
    if outlook.endless:  # without this the line above would promise that nobody hangs in it
        yield 4, "a last rung, which lasts to the end, counts with the longest time that a run has seen", None
    if search is not None:
        case = "where every time is used up" if verdict.for_worst else "by the times of earlier runs"
        if search.remedies:
            yield 2, f"each of these would avoid it {case}:", None
            yield from ((4, _remedy(one, for_worst=verdict.for_worst), None) for one in search.remedies)
        else:
            tried = "no change" if search.whole else "none of the changes that were tried"
            yield 2, f"{tried} of one or two settings would avoid it {case}", None
    enough, most = _enough(verdict.least_usually), _enough(verdict.least_at_worst)
    by_runs = f"{enough} by the times of earlier runs, " if known else ""
    yield 2, f"time that would do: {by_runs}{most} where every time is used up", None


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
