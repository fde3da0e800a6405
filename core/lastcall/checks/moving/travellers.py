"""Which guests may be moved where, by the rungs of their ladders."""

from collections.abc import Iterable, Iterator

from lastcall.api.guests import Guest
from lastcall.config.policies import Policies
from lastcall.config.policy.management import is_ours
from lastcall.formats.values import value


@value
class Traveller:
    """A guest that may be moved to a host. `first`: it is the host that is asked first; `comes_back`: from there."""

    guest: Guest
    uri: str
    first: bool
    comes_back: bool


def travellers(guests: Iterable[Guest], policies: Policies) -> Iterator[Traveller]:
    """Each guest of QEMU with each host that its ladder names, once."""
    for guest in guests:
        named = set[str]()
        for step in policies.of(guest).stop if guest.driver == "QEMU" and is_ours(policies.of(guest)) else ():
            options = step.chosen[1]
            for uri in getattr(options, "to", ()):
                if uri not in named:
                    yield Traveller(guest, uri, not named, bool(getattr(options, "come_back", True)))
                named.add(uri)
