"""Guests that are to be shed before others that need them, and are not: a `shed` without the effect it promises."""

from collections.abc import Iterator, Sequence

from lastcall.api.guests import Guest
from lastcall.config.policies import Policies
from lastcall.errors import Problem, Severity
from lastcall.ordering.graph import make_graph
from lastcall.planning.power.stages import SheddingOrder, sheddings


def sheds_too_early(guests: Sequence[Guest], policies: Policies) -> Iterator[Problem]:
    """A warning for each stage of these guests, which run, that sheds nobody as one which needs it goes later by the
    same measure. Who is kept for good is told of elsewhere.
    """
    names = {guest.key: guest.name for guest in guests}
    order = SheddingOrder(sheddings(guests, policies), make_graph(guests, policies, ()))
    in_vain = order.in_vain()
    for key, stages in order.too_early().items():
        for stage, (last, its) in stages.items() if key not in in_vain else ():
            yield Problem(
                what="shed", where=names[key],
                message=f"{stage} it stays all the same: {names[last]} needs it, and is shed {its}",
                remedy=f"a `shed` for {names[last]} that comes as early, or a later one for {names[key]}",
                severity=Severity.WARNING,
            )  # fmt: skip
