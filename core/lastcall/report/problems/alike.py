"""Problems that many guests have alike, told as one: forty times the same sentence hides the one that is another."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

from lastcall.errors import Problem
from lastcall.formats.layout.folding import fold_names_into
from lastcall.formats.layout.screen import PLAIN, Screen
from lastcall.formats.values import value

_GUEST = "GUEST"  # whoever of them is meant, in a remedy that names each
_HOLE = "\ue000"  # where a name stood; a text that brings one along gets a name in it, and no harm
_LEAST = 24  # cells for names, however narrow the screen is
_Finder = Callable[[str], str]


@value
class _Template:
    """A problem with holes where its guest is named, and that guest; no name where it is about none."""

    problem: Problem
    name: str


def alike_as_one(problems: Iterable[Problem], guests: Iterable[str], screen: Screen = PLAIN) -> list[Problem]:
    """The problems in their order, those that differ in the guest alone as one, where the first of them stood.

    `guests`: the names that may be meant. On a terminal they take no more than the beginning of a line, unless all is
    to be seen; in a pipe each problem is one for itself, as whoever reads there looks for the line of a guest.
    """
    told = list(problems)
    if screen.width is None:
        return told
    names = frozenset(filter(None, guests))
    templates = _templates(told, names)
    groups = dict[Problem, list[tuple[Problem, str]]]()
    for problem, template in zip(told, templates, strict=True):
        groups.setdefault(template.problem, []).append((problem, template.name))
    return [one for template, group in groups.items() for one in _told(template, group, screen)]


def _told(template: Problem, group: list[tuple[Problem, str]], screen: Screen) -> list[Problem]:
    names = [name for _, name in group]
    if len(set(names)) < 2:
        return [problem for problem, _ in group]
    folded = fold_names_into(names, screen, max(_LEAST, (screen.width or 0) - len(template.what) - _LEAST))
    # Named once, where a reader looks for it first.
    if _HOLE in template.where:
        template = replace(template, where=template.where.replace(_HOLE, folded, 1))
    else:
        template = replace(template, message=template.message.replace(_HOLE, folded, 1))
    filled = {name: getattr(template, name).replace(_HOLE, _GUEST) for name in ("where", "message", "remedy")}
    return [replace(template, **filled)]


def _templates(problems: list[Problem], names: frozenset[str]) -> list[_Template]:
    find = _finder(names)
    # Of those whose place is their guest, and which say the same, none says its name: a guest `a` is in no `a rung`.
    at_guests = [replace(problem, where=_HOLE) for problem in problems if problem.where in names]
    same = {problem for problem, count in Counter(at_guests).items() if count > 1}
    return [_template(problem, names, find, same) for problem in problems]


def _template(problem: Problem, names: frozenset[str], find: _Finder, same: set[Problem]) -> _Template:
    if problem.where in names:
        alike = replace(problem, where=_HOLE)
        return _Template(alike if alike in same else _without(alike, problem.where), problem.where)
    name = find(problem.where) or find(problem.message)
    return _Template(_without(problem, name) if name else problem, name)


def _without(problem: Problem, name: str) -> Problem:
    holes = re.compile(_as_word(re.escape(name)))
    texts = {field: holes.sub(_HOLE, getattr(problem, field)) for field in ("where", "message", "remedy")}
    return replace(problem, **texts)


def _finder(names: frozenset[str]) -> _Finder:
    """What finds the first of these names in a text, as a word of its own; the longest where one begins another."""
    if not names:
        return lambda _text: ""
    pattern = re.compile(_as_word("|".join(map(re.escape, sorted(names, key=len, reverse=True)))))

    def find(text: str) -> str:
        found = pattern.search(text)
        return found.group() if found else ""

    return find


def _as_word(pattern: str) -> str:
    # A name may have points in it, and a sentence may end behind one.
    return rf"(?<![\w-])(?<!\w\.)(?:{pattern})(?![\w-]|\.\w)"
