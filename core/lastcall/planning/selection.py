"""Which guests somebody means on the command line: by names, UUIDs and globs, and by what else they have to match."""

from collections.abc import Collection, Iterable, Iterator, Sequence

from lastcall.api.guests import Guest, GuestState, Key
from lastcall.api.matching import KEYS, is_like, matches
from lastcall.errors import UsageError
from lastcall.formats.values import value
from lastcall.persistence.waiting.entry import Cause, Entry

_WILD = frozenset("*?[]!")
_NEAR = 0.6  # how like a name has to be to be the one that was meant: 1 is the same, 0 has nothing in common


@value
class Criterion:
    """`KEY=VALUE` of `--match`; the keys are those of a rule's `match`, and mean the same."""

    key: str
    value: str

    @classmethod
    def parse(cls, text: str) -> "Criterion":
        """Read it; raises ValueError."""
        key, _, wanted = text.partition("=")
        if not wanted:
            raise ValueError(f"{text!r} is not KEY=VALUE, such as uri=qemu:///system")
        if key not in KEYS:
            raise ValueError(_unknown("key", key, KEYS))
        states = [state.value for state in GuestState]
        if key == "state" and wanted not in states:
            raise ValueError(_unknown("state", wanted, states))
        return cls(key, wanted)

    def covers(self, guest: Guest) -> bool:
        """Whether it fits a guest."""
        return matches(guest, **{self.key: self.value})

    def __str__(self) -> str:
        return f"{self.key}={self.value}"


@value
class _Place:
    """Where guests are looked for: what is said of one that is not there, and what shows who is."""

    no_name: str
    no_match: str
    shown_by: str


_ACTIVE = _Place("no active guest is called {!r}", "no active guest matches {!r}", "`lastcall plan` lists them")
_LISTED = _Place(
    "{!r} is not on the list of guests to restore",
    "{!r} matches nobody on the list of guests to restore",
    "`lastcall status` shows the list",
)


@value
class Selection:
    """The guests that somebody means; where nothing is said, all.

    `words`: names, UUIDs and globs, one of which has to fit. `criteria` narrow that down: those of one key are
    alternatives, and one of each key has to fit. `causes`: of the list of guests to restore only those that were
    stopped for one of these.
    """

    words: Sequence[str] = ()
    criteria: Sequence[Criterion] = ()
    causes: Sequence[Cause] = ()

    def __bool__(self) -> bool:
        return self.tells_guests or bool(self.causes)

    @property
    def tells_guests(self) -> bool:
        """Whether it says which guests, beyond why they were stopped: only then those are meant that are parked."""
        return bool(self.words or self.criteria)

    def __str__(self) -> str:
        everybody = "all running guests" + ("" if self.criteria else " of this host")
        return (" ".join(self.words) or everybody) + self._narrowed

    def active(self, guests: Sequence[Guest]) -> list[Guest]:
        """Those of the active guests that are meant; raises UsageError for whatever fits none of them."""
        return self._among(guests, _ACTIVE)

    def listed(self, entries: Sequence[Entry]) -> list[Entry]:
        """The same for the list of guests to restore; a guest's state is the one that it had.

        Where only a cause is said, nobody has to be there.
        """
        entries = [entry for entry in entries if not self.causes or entry.cause in self.causes]
        meant = {guest.key for guest in self._among([entry.guest for entry in entries], _LISTED)}
        return [entry for entry in entries if entry.guest.key in meant]

    def _among(self, guests: Sequence[Guest], place: _Place) -> list[Guest]:
        fitting = [guest for guest in guests if self._meets(guest)]
        unknown = list(self._idle_criteria(guests, fitting, place)) or list(self._unknown_words(guests, fitting, place))
        if unknown:
            # Whoever mistypes one name of three does not mean the other two alone: nobody is touched.
            hints = dict.fromkeys(hint for _, hint in unknown if hint)
            raise UsageError("; ".join(complaint for complaint, _ in unknown), " ".join(hints) or place.shown_by)
        meant = {guest.key for word in self.words for guest in _called(word, fitting)}
        return [guest for guest in fitting if not self.words or guest.key in meant]

    def _meets(self, guest: Guest) -> bool:
        keys = {criterion.key for criterion in self.criteria}
        return all(any(one.key == key and one.covers(guest) for one in self.criteria) for key in keys)

    def _idle_criteria(
        self, guests: Sequence[Guest], fitting: Collection[Guest], place: _Place
    ) -> Iterator[tuple[str, str]]:
        """What is said of criteria that fit nobody, each by itself or all together, and the hint."""
        idle = [one for one in self.criteria if not any(one.covers(guest) for guest in guests)]
        for one in idle:
            there = set[str]() if one.key == "state" else {getattr(guest, one.key) for guest in guests}
            yield place.no_match.format(str(one)), _hint(one.value, there)
        if self.criteria and not idle and not fitting:
            yield place.no_match.format(", ".join(map(str, self.criteria))), ""

    def _unknown_words(
        self, guests: Sequence[Guest], fitting: Sequence[Guest], place: _Place
    ) -> Iterator[tuple[str, str]]:
        names = {guest.name for guest in fitting}
        for word in self.words:
            if not _called(word, fitting):
                told = place.no_match if _WILD & set(word) else place.no_name
                misspelt = not _called(word, guests)  # else it is there, and does not meet the criteria
                yield told.format(word) + self._narrowed, _hint(word, names) if misspelt else ""

    @property
    def _narrowed(self) -> str:
        told = (*self.criteria, *(f"cause {cause}" for cause in self.causes))
        return f" with {', '.join(map(str, told))}" if told else ""


EVERYBODY = Selection()


@value
class TheseGuests(Selection):
    """Guests by what identifies them, whatever they are called; one that has gone meanwhile is no mistake."""

    keys: frozenset[Key] = frozenset()

    @property
    def tells_guests(self) -> bool:
        """It says nothing else."""
        return True

    def active(self, guests: Sequence[Guest]) -> list[Guest]:
        """Those of the active guests that are meant."""
        return [guest for guest in guests if guest.key in self.keys]

    def listed(self, entries: Sequence[Entry]) -> list[Entry]:
        """The same for the list of guests to restore."""
        return [entry for entry in entries if entry.guest.key in self.keys]


def _called(word: str, guests: Sequence[Guest]) -> list[Guest]:
    """The guests of this name or UUID; only where there is none it is a glob."""
    # libvirt allows `web*` as a name: whoever types that gets this guest, and not web-1 as well.
    exact = [guest for guest in guests if guest.name == word or guest.uuid == word.lower()]
    return exact or [guest for guest in guests if is_like(guest.name, word)]


def _unknown(kind: str, word: str, known: Sequence[str]) -> str:
    hint = _hint(word, known)
    return f"no {kind} is called {word!r} ({kind}s are {', '.join(known)})" + (f"; {hint}" if hint else "")


def _hint(word: str, known: Iterable[str]) -> str:
    """Ask for what is most like a word or a glob, if something is like it at all; whatever the case."""
    from difflib import SequenceMatcher

    core = "".join(sign for sign in word if sign not in _WILD).casefold()

    def likeness(name: str) -> float:
        # Where a glob leaves an end open, what stands there makes a name no less like it.
        whole = name.casefold()
        head = whole[: len(core)] if word.endswith("*") else whole
        tail = whole[-len(core) :] if word.startswith("*") else whole
        return max(SequenceMatcher(None, core, part).ratio() for part in (whole, head, tail))

    best = max(sorted(known), key=likeness, default=None)
    return f"did you mean {best!r}?" if best is not None and likeness(best) >= _NEAR else ""
