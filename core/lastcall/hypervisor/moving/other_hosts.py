"""What a restore needs of the hosts that guests were moved to: who runs there, and the way back from there."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Protocol

from lastcall.api.guests import Guest, GuestState, Key
from lastcall.api.run import Convergence, DiskMove
from lastcall.formats.values import value

MOVING = 300.0  # seconds for a way back of whose way there nothing is configured (any more)


@value(kw_only=True)
class FarGuest:
    """What libvirt on another host says of a guest: off, where it knows none. `defined`: also when it is off.

    `saved`: it has a saved image there. `stranded`: it has stood still since a migration that nobody has brought to its
    end. `leaves`: it is being migrated away from there.
    """

    state: GuestState = GuestState.OFF
    defined: bool = False
    saved: bool = False
    stranded: bool = False
    leaves: bool = False


@value(kw_only=True)
class Journey:
    """How a guest travels back: as it went, by the options of `migrate` in its ladder. `timeout`: seconds.

    `goes_on`: it ran when it left, so that one who is `stranded` goes on.
    """

    storage: DiskMove = "shared"
    bandwidth: int = 0
    converge: Convergence = "none"
    timeout: float = MOVING
    goes_on: bool = True


@value(kw_only=True)
class Welcome:
    """What a guest that runs here would find on another host, as far as it speaks against its coming.

    `cpu`: why its processor is none for it. `namesake`: the UUID of another guest with its name. `double`: what one
    with its own UUID does there. `lacks`: networks and storage pools that are not active there.
    """

    cpu: str = ""
    namesake: str = ""
    double: GuestState | None = None
    lacks: tuple[str, ...] = ()


@value(kw_only=True)
class Surroundings:
    """Another host beside this one. `free`: bytes of memory. `older`: what is older there, with both versions.

    `is_here`: it is this host itself. Who would find nothing amiss is not among its `guests`.
    """

    free: int
    is_here: bool = False
    older: tuple[tuple[str, str, str], ...] = ()
    guests: Mapping[Key, Welcome] = field(default_factory=dict[Key, Welcome])


class OtherHosts(Protocol):
    """Other hosts, by their URIs. Each question has a connection of its own, and a time of its own.

    All of it raises HypervisorError or TimeoutError; a host that cannot be reached has said nothing of its guests.
    """

    async def ask(self, uri: str, guest: Guest) -> FarGuest:
        """Ask a host about a guest."""
        ...

    async def inspect(self, uri: str, guests: Sequence[Guest]) -> Surroundings:
        """Look at a host that these guests, which run here, may be moved to; nothing is changed."""
        ...

    async def supply(self, uri: str, guest: Guest, journey: Journey) -> Sequence[str]:
        """Start here what it needs by its definition there, and find out what is missing."""
        ...

    async def fetch(self, uri: str, guest: Guest, journey: Journey) -> None:
        """Migrate a guest that runs there to here. Where it fails, it goes on there."""
        ...

    async def adopt(self, uri: str, guest: Guest, *, drop_image: bool) -> None:
        """Define a guest that is off there here instead. `drop_image`: what is saved of it is lost with that.

        Raises HypervisorError where it was started there meanwhile, and then it is defined here no more.
        """
        ...

    async def autostart(self, guest: Guest) -> None:
        """Let libvirt here start it at boot, as before it was moved: that does not travel."""
        ...
