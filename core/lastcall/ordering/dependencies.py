"""Which guests a `depends_on` means; what guests say of themselves, in their metadata, is looked up in bounded time."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence

from lastcall.api.guests import Guest, Key
from lastcall.config.guest_settings import Match
from lastcall.config.policies import Policies
from lastcall.config.policy.management import is_watched
from lastcall.errors import Problem, Severity
from lastcall.formats.nearest import did_you_mean

COMPARISONS = 1_000_000  # of names with what guests say of themselves, in one plan: about a second
TOLD = 3  # names of one guest that nobody has, told one by one
LIKENESSES = 10_000  # names that are looked through for the one that was probably meant; of a thousand for ten
_SPECIAL = frozenset("*?[")
_ABOVE_ALL = chr(0x10FFFF)


class Dependencies:
    """Finds them, each pattern once. `others`: names of guests that exist and have no part in the run.

    `limited`: those who say it of themselves. `all_known`: there are no more guests than these.

    A name means a guest of this host; one that is watched only where nobody here is called so. For those of a neighbour
    it is the other way round: each host may have a `dns` of its own.

    One guest that named 115 unknown ones cost a thousand others 31 s of their time, before anybody was asked.
    """

    def __init__(
        self,
        guests: Sequence[Guest],
        policies: Policies,
        others: Iterable[str],
        *,
        limited: Container[Key],
        all_known: bool = True,
    ) -> None:
        self._guests, self._policies, self._others, self._limited = guests, policies, frozenset(others), limited
        self._as_far_as = "" if all_known else ", as far as libvirt answered"
        # It may be a neighbour's, whose host is down: nobody's mistake.
        self._severity = Severity.ERROR if all_known else Severity.WARNING
        self._in_order = sorted(guests, key=lambda guest: guest.name)
        self._names = [guest.name for guest in self._in_order]
        self._by_uuid = defaultdict[str, list[Guest]](list)
        self._places = {guest.key: guest.uri for guest in guests if is_watched(policies.of(guest))}
        for guest in guests:
            self._by_uuid[guest.uuid].append(guest)
        self._found: dict[Match, frozenset[Key]] = {}
        self._comparisons, self._likenesses = COMPARISONS, LIKENESSES
        self._problems: dict[Key, list[Problem]] = {}

    @property
    def problems(self) -> list[Problem]:
        """What is wrong with them, in the order of the guests."""
        return [problem for guest in self._guests for problem in self._problems.get(guest.key, ())]

    def find(self) -> Mapping[Key, set[Key]]:
        """Whom each guest needs, by key, itself where it names itself."""
        wanted = {guest.key: self._policies.of(guest).depends_on for guest in self._guests}
        # The host's own configuration comes first, then whoever asks least: who asks for much has what is left.
        in_turn = sorted(self._guests, key=lambda guest: len(wanted[guest.key]) if guest.key in self._limited else 0)
        found = {guest.key: self._needed(guest, wanted[guest.key]) for guest in in_turn}
        return {guest.key: found[guest.key] for guest in self._guests}

    def _needed(self, guest: Guest, wanted: Iterable[Match]) -> set[Key]:
        needed, unknown, too_much = set[Key](), list[Match](), list[Match]()
        for match in wanted:
            found = self._found.get(match)
            candidates = self._candidates(match) if found is None else found
            if guest.key in self._limited and not self._afford(1 + len(candidates)):
                too_much.append(match)
                continue
            if found is None:
                found = self._found[match] = frozenset(one.key for one in self._candidates(match) if match.covers(one))
            if not found and not self._exists(match):
                unknown.append(match)
            found = self._nearest(guest, match, found)
            own = match.name == guest.name  # a guest that names itself is a cycle, one that its own glob covers is not
            needed |= found if own else found - {guest.key}
        # What a neighbour's guest says of itself is meant for its own host, which knows more guests.
        if (unknown or too_much) and not (guest.key in self._places and guest.key in self._limited):
            self._problems[guest.key] = [*self._unknown(guest, unknown), *_too_much(guest, too_much)]
        return needed

    def _nearest(self, guest: Guest, match: Match, found: frozenset[Key]) -> frozenset[Key]:
        if not self._places or match.uri is not None:
            return found
        place = self._places.get(guest.key, "")
        return frozenset(key for key in found if self._places.get(key, "") == place) or found

    def _afford(self, comparisons: int) -> bool:
        self._comparisons -= comparisons
        return self._comparisons >= 0

    def _candidates(self, match: Match) -> Sequence[Guest]:
        """Who may be meant: those of this UUID, or those whose names begin as the pattern does."""
        if match.uuid is not None:
            return self._by_uuid.get(match.uuid.lower(), ())
        if match.name is None:
            return self._in_order
        begin = _beginning(match.name)
        first = bisect_left(self._names, begin)
        return self._in_order[first : bisect_right(self._names, begin if begin == match.name else begin + _ABOVE_ALL)]

    def _exists(self, match: Match) -> bool:
        """Whether it is the name of a guest that has no part in the run: then there is nothing to wait for."""
        if match.name is None or match.name in self._others:
            return match.name is not None
        if not _SPECIAL & set(match.name) or not self._afford(len(self._others)):
            return False
        return any(match.covers(Guest(uri=match.uri or "", uuid=match.uuid or "", name=name)) for name in self._others)

    def _unknown(self, guest: Guest, unknown: Sequence[Match]) -> Iterable[Problem]:
        remedy = "it is ignored; `virsh list --all` shows the names"
        for match in unknown[:TOLD]:
            name = match.name or match.uuid or match.uri or "?"
            message = f"no guest is called {name!r}{self._as_far_as}{self._hint(name)}"
            yield _problem(guest, message, remedy, self._severity)
        if len(unknown) > TOLD:
            message = f"{len(unknown) - TOLD} more names are those of no guest{self._as_far_as}"
            yield _problem(guest, message, remedy, self._severity)

    def _hint(self, name: str) -> str:
        self._likenesses -= len(self._names) + len(self._others)
        return did_you_mean(name, [*dict.fromkeys(self._names), *self._others]) if self._likenesses >= 0 else ""


def _beginning(pattern: str) -> str:
    """What a name begins with that fits; all of the pattern where it is no glob."""
    return pattern[: next((at for at, one in enumerate(pattern) if one in _SPECIAL), len(pattern))]


def _too_much(guest: Guest, matches: Sequence[Match]) -> Iterable[Problem]:
    if matches:
        message = f"{len(matches)} patterns would cost the others too much of their time"
        yield _problem(guest, message, "they are ignored; name guests, or set it in the configuration file")


def _problem(guest: Guest, message: str, remedy: str, severity: Severity = Severity.ERROR) -> Problem:
    told = f"depends_on: {message}"
    return Problem(what="order", where=guest.name, message=told, remedy=remedy, severity=severity)
