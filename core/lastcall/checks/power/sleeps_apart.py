"""Guests that are paused or saved for a sleep of the host while others that need them run on."""

from collections.abc import Iterator, Sequence

from lastcall.api.guests import Guest
from lastcall.api.naming.guest_names import GuestNames
from lastcall.config.policies import Policies
from lastcall.config.policy.management import is_ours
from lastcall.errors import Problem, Severity
from lastcall.formats.bounded_text import first_names
from lastcall.formats.layout.natural import natural_key
from lastcall.ordering.graph import make_graph
from lastcall.ordering.nodes import reached

NAMED = 3  # guests that are named of those that run on
_DONE = {"pause": "paused", "save": "saved"}


def sleeps_apart(guests: Sequence[Guest], policies: Policies) -> Iterator[Problem]:
    """A warning for each of these guests, which run, that others miss just before and after a sleep of the host."""
    needed_by = make_graph(guests, policies, ()).needed_by
    how = {guest.key: policies.of(guest) for guest in guests}
    called = GuestNames(guests)
    awake = [guest for guest in guests if how[guest.key].sleep == "leave" or not is_ours(how[guest.key])]
    for guest, name in zip(guests, map(called.of, guests), strict=True):
        if guest in awake:
            continue
        needing = reached({guest.key}, needed_by)
        names = sorted((called.of(one) for one in awake if one.key in needing), key=natural_key)
        if not names:
            continue
        one = len(names) == 1
        yield Problem(
            what="sleep", where=guest.name,
            message=f"is {_DONE[how[guest.key].sleep]} for a sleep of the host while {first_names(names, NAMED)}, "
            f"which {'needs' if one else 'need'} it, {'runs' if one else 'run'} on",
            remedy=f"a `sleep` for {'that guest' if one else 'those'} as well, or `sleep: leave` for {name}",
            severity=Severity.WARNING,
        )  # fmt: skip
