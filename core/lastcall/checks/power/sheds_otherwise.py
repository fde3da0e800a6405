"""Guests whose `shed` does not do what it says, as others need them that are shed later or never."""

from collections.abc import Iterator, Sequence

from lastcall.api.guests import Guest
from lastcall.api.naming.guest_names import GuestNames
from lastcall.config.policies import Policies
from lastcall.errors import Problem, Severity
from lastcall.formats.bounded_text import first_names
from lastcall.ordering.graph import make_graph
from lastcall.planning.power.stages import SheddingOrder, sheddings

NAMED = 3  # guests that are named of those that are in the way


def sheds_otherwise(guests: Sequence[Guest], policies: Policies) -> Iterator[Problem]:
    """A warning for each of these guests, which run, whose `shed` has no effect as long as they do, and for each stage
    of the others that sheds nobody as one which needs it goes later by the same measure.
    """
    names, called = {guest.key: guest.name for guest in guests}, GuestNames(guests)
    order = SheddingOrder(sheddings(guests, policies), make_graph(guests, policies, ()))
    in_vain = order.in_vain()
    for key, never in in_vain.items():
        yield _in_vain(names[key], called[key], sorted(called[one] for one in never))
    for key, stages in order.too_early().items():
        for stage, (last, its) in stages.items() if key not in in_vain else ():
            yield _problem(
                names[key],
                f"{stage} it stays all the same: {called[last]} needs it, and is shed {its}",
                f"a `shed` for {called[last]} that comes as early, or a later one for {called[key]}",
            )


def _in_vain(name: str, called: str, needing: Sequence[str]) -> Problem:
    told, one = first_names(needing, NAMED), len(needing) == 1
    return _problem(
        name,
        f"has no effect: {told} {'needs' if one else 'need'} it and {'is' if one else 'are'} never shed",
        f"a `shed` for {'that guest' if one else 'those'} as well, or `shed: never` for {called}",
    )


def _problem(name: str, message: str, remedy: str) -> Problem:
    return Problem(what="shed", where=name, message=message, remedy=remedy, severity=Severity.WARNING)
