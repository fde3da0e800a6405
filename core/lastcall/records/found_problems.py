"""How many problems somebody may have: so many of one call, and of one source in a run, so that nobody's are buried."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import fields, replace
from itertools import islice

from lastcall.errors import Problem, Severity
from lastcall.formats.bounded_text import MESSAGE_LIMIT, NAME_LIMIT, bounded, shown
from lastcall.formats.secret_text import masked

OF_A_CALL = 100  # problems that a plugin returns, or a guest's metadata has
COUNTED = 10_000  # more of them are not even counted: a generator may never end
OF_A_SOURCE = 100  # problems in a run
OF_A_RUN = 2000  # problems; from then on each source has FEW
FEW = 10
_REMEDY = "mend those that are told, and look again"
_LIMITS = {"what": NAME_LIMIT, "where": MESSAGE_LIMIT, "message": MESSAGE_LIMIT, "remedy": MESSAGE_LIMIT}


def first_problems(answer: Iterable[object], over: Callable[[], bool]) -> list[Problem]:
    """The first problems that a plugin returned, plain and in bounds, and one that says how many more there are.

    Whatever they are and do is done here. `over`: nobody waits any longer. Raises TypeError for what is no problem.
    """
    rest = iter(answer)
    found = [_plain(one) for one in islice(_until(over, rest), OF_A_CALL)]
    more = [_severity(one) for one in islice(_until(over, rest), COUNTED)]
    return found if not more else [*found, _more(found[-1], more)]


def first_of(found: Sequence[Problem]) -> Sequence[Problem]:
    """The same for problems of our own, such as those in a guest's metadata."""
    kept, more = found[:OF_A_CALL], [one.severity for one in found[OF_A_CALL:]]
    return found if len(more) < 2 else [*kept, _more(kept[-1], more)]


class ProblemLimit:
    """Lets a run have so many problems of one source: what one guest's settings, or one plugin, are good for."""

    def __init__(self) -> None:
        self._told: Counter[Hashable] = Counter()
        self._all = 0

    def admit(self, problem: Problem, source: Hashable = None) -> Problem | None:
        """The problem; instead of the first that is too much, one that says so, and then nothing.

        Without a `source` it is what and where it is. Errors are not left out because of warnings: they decide how the
        run ends.
        """
        key = (source or (problem.what, problem.where), problem.severity)
        most = OF_A_SOURCE if self._all < OF_A_RUN else FEW
        self._told[key] += 1
        if self._told[key] <= most:
            self._all += 1
            return problem
        # Counted as told, so that it is told once: whoever had many before needs it no less.
        told_before, self._told[key] = self._told[key] - 1, OF_A_SOURCE + 1
        return None if told_before > OF_A_SOURCE else _too_many(problem)


def _too_many(problem: Problem) -> Problem:
    return replace(problem, message="there are more of these, which are left out", remedy=_REMEDY)


def _more(last: Problem, more: Sequence[Severity]) -> Problem:
    """What stands for those that are not told; an error where one of them is, as that decides how the run ends."""
    message = f"and {'at least ' if len(more) == COUNTED else ''}{len(more)} more"
    severity = Severity.ERROR if Severity.ERROR in more else Severity.WARNING
    return replace(last, message=message, remedy=_REMEDY, severity=severity)


def _until(over: Callable[[], bool], items: Iterator[object]) -> Iterator[object]:
    for item in items:
        if over():
            return
        yield item


def _plain(found: object) -> Problem:
    """A problem that is nobody else's code any more; by the very type, as in `in_words`."""
    if not issubclass(type(found), Problem):
        raise TypeError(f"returned {bounded(shown(found))}")
    texts = {one.name: _text(found, one.name) for one in fields(Problem) if one.name in _LIMITS}
    return Problem(**texts, severity=_severity(found))


def _text(problem: object, name: str) -> str:
    try:
        text: object = getattr(problem, name)
        # Plain first: a class of text may have methods of its own.
        told = str.__str__(text) if isinstance(text, str) else shown(text)
    except BaseException:  # noqa: BLE001  a property of somebody else's, as in `with_remedy`
        return ""
    return bounded(masked(told), _LIMITS[name])  # masked before it is cut: of half a secret nobody knows what it is


def _severity(problem: object) -> Severity:
    """What it says; an error where that is nothing that is known."""
    try:
        return Severity(problem.severity)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]
    except BaseException:  # noqa: BLE001  as above
        return Severity.ERROR
