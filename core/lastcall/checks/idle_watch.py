"""Neighbours that are watched for nothing: nobody there has to do with anybody here."""

from collections.abc import Iterable, Iterator, Sequence

from lastcall.api.guests import Guest
from lastcall.config.policies import Policies
from lastcall.errors import Problem, Severity
from lastcall.ordering.graph import make_graph


def idle_watch(
    uris: Iterable[str], guests: Sequence[Guest], beside: Sequence[Guest], policies: Policies
) -> Iterator[Problem]:
    """A warning for each of these watched connections without a guest that needs one of ours, or is needed by one.

    `beside`: the guests of neighbours, running or defined.
    """
    needs = make_graph([*guests, *beside], policies, ()).needs
    ours, theirs = {guest.key for guest in guests}, {guest.key: guest.uri for guest in beside}
    used = {theirs[key] for key in theirs if any(one in ours for one in needs[key])}
    used |= {uri for key, uri in theirs.items() if any(key in needs[one] for one in ours)}
    for uri in uris:
        if uri not in used:
            count = sum(guest.uri == uri for guest in beside)
            yield Problem(
                what="watch", where=uri,
                message=f"none of its {count} guests needs one of this host's, or is needed by one",
                remedy="`depends_on` in rules, or in the guests' metadata, says who needs whom",
                severity=Severity.WARNING,
            )  # fmt: skip
