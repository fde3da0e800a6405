"""What guests are called before people: their names, and where two of them bear the same one, with where they are."""

from collections.abc import Iterable, Iterator, Mapping

from lastcall.api.guests import Key, host_of
from lastcall.api.matching import Identified


class GuestNames(Mapping[Key, str]):
    """The guests of one run, plan or list by (URI, UUID), each as a person is told of it.

    That is its name, as long as it alone has it there: `web`. Those that share one are told with their host, or with
    as much more as it takes to tell them apart: `web (hb)` and `web (lxc:///system)`.
    """

    def __init__(self, guests: Iterable[Identified] = ()) -> None:
        self._names: dict[Key, str] = {}
        self._bearers: dict[str, list[Key]] = {}
        for guest in guests:
            self.add(guest)

    def add(self, guest: Identified) -> None:
        """Take one more; from now on whoever has the same name is told apart from it."""
        key = (guest.uri, guest.uuid)
        before = self._names.get(key)
        if before == guest.name:
            return
        if before is not None:  # it was renamed
            self._bearers[before].remove(key)
        self._names[key] = guest.name
        self._bearers.setdefault(guest.name, []).append(key)

    def of(self, guest: Identified) -> str:
        """What this one is called. Raises KeyError where it is none of them."""
        return self[guest.uri, guest.uuid]

    def place(self, guest: Identified | Key) -> str:
        """The end of what it is called by which it is told apart, ` (hb)`; empty where its name does."""
        key = guest if isinstance(guest, tuple) else (guest.uri, guest.uuid)
        name = self._names[key]
        alike = self._bearers[name]
        if len(alike) < 2:
            return ""
        for tell in (_by_host, _by_uri):
            places = {tell(one) for one in alike}
            # Somebody may have called a guest what another one would be told as.
            if len(places) == len(alike) and not any(name + place in self._bearers for place in places):
                return tell(key)
        return f" ({', '.join(key)})"  # one was undefined and made anew, while the run went on or since then

    def __getitem__(self, key: Key) -> str:
        return self._names[key] + self.place(key)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _by_host(key: Key) -> str:
    return f" ({host_of(key[0])})"


def _by_uri(key: Key) -> str:
    return f" ({key[0]})"
