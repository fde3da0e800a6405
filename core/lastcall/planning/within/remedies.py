"""The smallest changes of settings with which nobody would be forced: one, else two, each proven by playing it."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from lastcall.formats.values import value
from lastcall.planning.within.candidates import Candidates
from lastcall.planning.within.forced import Forced, find_forced
from lastcall.planning.within.scenario import Played, Scenario
from lastcall.planning.within.setting_change import SettingChange

MOST_REMEDIES = 5  # that are told; who looks for more has other wishes
MOST_CANDIDATES = 40
TRIALS = 15_000  # guests that are planned for, all trials together: a second or so
LEAST_TRIALS = 24  # however many guests there are


@value(kw_only=True)
class Remedy:
    """Changes that keep everybody from being forced, and what the run is with them."""

    changes: tuple[SettingChange, ...]
    played: Played
    forced: Forced


@value(kw_only=True)
class Search:
    """What was found. Not `whole`: there was more to try than there was time for."""

    remedies: tuple[Remedy, ...]
    whole: bool


def find_remedies(candidates: Candidates, *, worst: bool) -> Search:
    """Look for changes, the smallest first. `worst`: so that nobody is forced where every time is used up; else by the
    times of earlier runs.
    """
    trials = _Trials(candidates.scenario, find_forced(candidates.played), worst=worst)
    offered = candidates.for_worst_case() if worst else candidates.for_usual_times()
    changes = list(_distinct(offered))[:MOST_CANDIDATES]
    scores = dict[int, tuple[int, float]]()
    for place, change in enumerate(changes):
        if not trials.solved_by(change.setting):
            scores[place] = trials.score((change,))
    if not trials.found:
        # What helps alone, if not enough, first: its pairs are the likeliest.
        order = sorted(scores, key=lambda place: (scores[place], place))
        pairs = sorted(combinations(range(len(order)), 2), key=lambda pair: (sum(pair), pair))
        for one, other in pairs:
            first, second = sorted((order[one], order[other]))
            if len(trials.found) >= MOST_REMEDIES or trials.out_of_time:
                break
            if changes[first].setting != changes[second].setting:
                trials.score((changes[first], changes[second]))
    return Search(remedies=tuple(trials.found[:MOST_REMEDIES]), whole=not trials.out_of_time)


class _Trials:
    """Plays what is tried, and keeps what helps."""

    def __init__(self, scenario: Scenario, before: Forced, *, worst: bool) -> None:
        self._scenario, self._before, self._worst = scenario, before, worst
        self._left = max(LEAST_TRIALS, TRIALS // max(1, len(scenario.guests)))
        self.found: list[Remedy] = []
        self.out_of_time = False

    def solved_by(self, setting: str) -> bool:
        """Whether a smaller change of this setting helps already."""
        return any(setting == change.setting for remedy in self.found for change in remedy.changes)

    def score(self, changes: Sequence[SettingChange]) -> tuple[int, float]:
        """How many would be forced with these changes, and by how much too late together."""
        if self._left <= 0:
            self.out_of_time = True
            return len(self._scenario.guests), 0.0
        self._left -= 1
        scenario = self._scenario
        for change in changes:
            scenario = change.made_in(scenario)
        played = scenario.play()
        forced = find_forced(played)
        meant = forced.at_worst if self._worst else forced.usually
        # What helps the one case at the expense of the other is no remedy.
        if not meant and len(forced.usually) <= len(self._before.usually):
            self.found.append(Remedy(changes=tuple(changes), played=played, forced=forced))
        return len(meant), sum(off - scenario.deadline.last_resort for off in meant.values())


def _distinct(changes: Iterable[SettingChange]) -> Iterator[SettingChange]:
    known = set[tuple[str, str]]()
    for change in changes:
        if (change.setting, change.after) not in known:
            known.add((change.setting, change.after))
            yield change
