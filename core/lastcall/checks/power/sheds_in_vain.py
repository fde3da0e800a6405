"""Guests that are to be shed and never are, as others need them that are not shed."""

from collections.abc import Iterator, Sequence

from lastcall.api.guests import Guest
from lastcall.config.policies import Policies
from lastcall.errors import Problem, Severity
from lastcall.ordering.graph import make_graph
from lastcall.planning.power.stages import SheddingOrder, sheddings

NAMED = 3  # guests that are named of those that are in the way


def sheds_in_vain(guests: Sequence[Guest], policies: Policies) -> Iterator[Problem]:
    """A warning for each of these guests, which run, whose `shed` has no effect as long as they do."""
    names = {guest.key: guest.name for guest in guests}
    in_vain = SheddingOrder(sheddings(guests, policies), make_graph(guests, policies, ())).in_vain()
    for key, never in in_vain.items():
        needing = sorted(names[one] for one in never)
        more = f" and {len(needing) - NAMED} more" if len(needing) > NAMED else ""
        told, one = f"{', '.join(needing[:NAMED])}{more}", len(needing) == 1
        yield Problem(
            what="shed", where=names[key],
            message=f"has no effect: {told} {'needs' if one else 'need'} it and {'is' if one else 'are'} never shed",
            remedy=f"a `shed` for {'that guest' if one else 'those'} as well, or `shed: never` for {names[key]}",
            severity=Severity.WARNING,
        )  # fmt: skip
