"""What the runs need from the outside: a hypervisor (here), workers and hooks (`workers`, `hooks.dispatch`).

The engine knows only these, so that tests can put a fake hypervisor, inline workers and an injected clock there.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import field
from enum import Enum
from typing import TYPE_CHECKING, Protocol, TypeAlias

from lastcall.api.guests import Ended, Guest, GuestState, Key
from lastcall.api.run import Domain
from lastcall.errors import LastcallError
from lastcall.formats.values import value

if TYPE_CHECKING:
    from lastcall.hypervisor.moving.other_hosts import OtherHosts


class Condition(Enum):
    """Whether a guest can be asked to stop, and what stands in the way."""

    FREE = "free"
    HELD = "paused by a user, a watchdog or a snapshot"
    IO_ERROR = "paused by an I/O error"
    ARRIVING = "it is in the middle of a migration"


class OtherJob(Enum):
    """What somebody else has begun to do with a guest, and what keeps it from being stopped while it lasts."""

    MIGRATION = "a migration"
    SAVE = "a save"
    START = "its start"
    SNAPSHOT = "a snapshot"
    DUMP = "a dump"
    BACKUP = "a backup"


@value(kw_only=True)
class GuestFacts:
    """What libvirt tells without asking the guest.

    `metadata`: our keys and their texts. `job`: what somebody else does with it. `unsaveable`: why it cannot be saved.
    `restarts`: on_poweroff=restart. `memory` in bytes. `deaf_to_acpi`: it has no power button.
    """

    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    condition: Condition = Condition.FREE
    job: OtherJob | None = None
    unsaveable: str = ""
    restarts: bool = False
    memory: int = 0
    autostart: bool = False
    deaf_to_acpi: bool = False

    @property
    def delays_requests(self) -> bool:
        """Whether requests wait for somebody's job, which says nothing of QEMU; beside a backup they arrive."""
        return self.job not in {None, OtherJob.BACKUP}


PLAIN = GuestFacts()
AGENT_CHANNEL = "org.qemu.guest_agent.0"
"""What the channel of a guest agent is called in a domain's XML."""
"""What a guest is taken for of which nothing more is known."""


@value(kw_only=True)
class Target:
    """A connection to open: URI (or `default`), seconds to try, and whether it may be missing.

    `patient`: one that is refused is tried again within that time. `reconnect`: seconds to try again when it dies.
    `parallel`: guests of it that may move at once, 0 = no limit. `read_only`: its guests are only looked at.
    """

    uri: str
    timeout: float = 10.0
    optional: bool = False
    patient: bool = False
    reconnect: float = 60.0
    parallel: int = 0
    read_only: bool = False


@value
class Connected:
    """What became of a target: the canonical URI and the name of the host behind it, or the error."""

    target: Target
    uri: str | None = None
    error: LastcallError | None = None
    host: str = ""


@value
class GuestStarted:
    """libvirt says that a guest runs (again); `restored` = from a saved image."""

    uri: str
    uuid: str
    restored: bool = False


@value
class GuestStopped:
    """libvirt says that a guest is off, and how it ended. `kept`: there is nothing left of it but its backup."""

    uri: str
    uuid: str
    ended: Ended
    kept: bool = False


@value
class GuestPoweredOff:
    """A guest's own shutdown ran to its end; that it is off libvirt says when its QEMU has ended, too."""

    uri: str
    uuid: str


@value
class GuestResumed:
    """A guest that was paused goes on; one that was kept for its backup begins anew."""

    uri: str
    uuid: str


@value
class GuestCrashed:
    """A guest's system has crashed and it is kept as it is: it hears nothing any more."""

    uri: str
    uuid: str


@value
class GuestRebooted:
    """A guest begins anew instead of powering off."""

    uri: str
    uuid: str


@value
class ConnectionClosed:
    """A connection died; it is tried again."""

    uri: str
    why: str


@value
class ConnectionRestored:
    """A connection lives again; what happened meanwhile has to be asked."""

    uri: str


@value
class ConnectionGivenUp:
    """A connection that died did not come back in its time; nothing more will be heard of its guests."""

    uri: str
    why: str


@value
class LanesCrowded:
    """A request has to wait for a lane, because of calls about these guests (UUIDs) that hang."""

    uri: str
    uuids: Collection[str]


HypervisorEvent: TypeAlias = (
    GuestStarted
    | GuestStopped
    | GuestPoweredOff
    | GuestResumed
    | GuestCrashed
    | GuestRebooted
    | ConnectionClosed
    | ConnectionRestored
    | ConnectionGivenUp
    | LanesCrowded
)


@value
class Standing:
    """What a query says about a guest; `ended` only when it is off. `kept`: see `GuestStopped`."""

    state: GuestState
    ended: Ended | None = None
    saved: bool = False
    kept: bool = False

    @property
    def is_up(self) -> bool:
        """Whether it runs, or is paused or asleep and can go on; neither off, nor crashed, nor a state that nobody
        knows.
        """
        return self.state in {GuestState.RUNNING, GuestState.PAUSED, GuestState.SUSPENDED}


@value(kw_only=True)
class OwnStop:
    """A guest that a daemon has stopped by a setting of its own, how it ended, the setting and what ends that."""

    guest: Guest
    ended: Ended
    setting: str
    remedy: str


@value(kw_only=True)
class StartNeeds:
    """What a guest needs for its start: what is `missing`, and what was inactive and has been `begun` for it."""

    missing: tuple[str, ...] = ()
    begun: tuple[str, ...] = ()


@value
class Looked:
    """What a look at guests brought: the facts of those that answered, and why others did not.

    Who is gone meanwhile is in neither.
    """

    facts: Mapping[Key, GuestFacts] = field(default_factory=dict[Key, GuestFacts])
    silent: Mapping[Key, str] = field(default_factory=dict[Key, str])


class Call(Protocol):
    """What bounds the use of a domain: one hook call, or one stop request."""

    def remaining(self) -> float:
        """Seconds left; raises CallExpired when the call is over."""
        ...

    def to_last_resort(self) -> float:
        """Seconds until the run's last resort, `math.inf` where there is none; raises CallExpired as well."""
        ...


class Hypervisor(Protocol):
    """Every connection of the run. Coroutines run on the loop thread and raise HypervisorError or TimeoutError."""

    @property
    def other_hosts(self) -> "OtherHosts":
        """Those that guests of these connections were moved to."""
        ...

    async def connect(self, targets: Sequence[Target], listener: Callable[[HypervisorEvent], None]) -> list[Connected]:
        """Open all connections at once and post their events to the listener, on the loop thread."""
        ...

    async def active(self, uri: str) -> list[Guest]:
        """List the active guests of one connection."""
        ...

    async def inactive(self, uri: str) -> list[Guest]:
        """List the guests of one connection that are defined and off."""
        ...

    async def look(self, uri: str, guests: Sequence[Guest], *, until: Callable[[], float]) -> Looked:
        """Look at guests of one connection, each for itself; who has not answered by then is silent.

        `until`: a moment of the loop's clock, which is asked for again and again, as it may be brought forward. Raises
        ConnectionLost where there is no connection, nothing else.
        """
        ...

    async def facts(self, uri: str, guests: Sequence[Guest]) -> Mapping[Key, GuestFacts]:
        """Look at guests of one connection; one that is gone meanwhile is missing from the answer.

        Raises HypervisorError where one cannot be looked at.
        """
        ...

    async def set_on_poweroff(self, guest: Guest, action: str) -> None:
        """Let a running guest be destroyed (`destroy`) or begin anew (`restart`) when it powers off."""
        ...

    async def abort_job(self, guest: Guest) -> None:
        """End a save or migration that is under way; the guest goes on."""
        ...

    async def write_metadata(self, guest: Guest, key: str, namespace: str, xml: str | None) -> None:
        """Set, or with None remove, an element of a guest's metadata."""
        ...

    async def standing(self, guest: Guest) -> Standing:
        """Ask libvirt about one guest."""
        ...

    async def own_stops(self, uri: str, *, since: float) -> Sequence[OwnStop]:
        """Whom a connection's daemon has stopped by its own settings as the host goes down, as far as that is certain.

        `since`: seconds since the run of this host stop began.
        """
        ...

    async def start(self, guest: Guest, *, bypass_cache: bool = False) -> None:
        """Start a guest, from its saved image where there is one (read around the page cache, if asked for).

        Raises BadImage where that image does not load.
        """
        ...

    async def supply(self, guest: Guest) -> StartNeeds:
        """Start the networks and storage pools that a guest needs, and look for the files and devices that it names."""
        ...

    async def drop_image(self, guest: Guest) -> None:
        """Remove a guest's saved image, where it has one: it is started afresh, and what was in its memory is lost."""
        ...

    def domain(self, guest: Guest, call: Call, sent: Callable[[], None] | None = None) -> Domain:
        """A view of the guest's domain for worker threads; `sent` is called when a request goes out."""
        ...

    def moved_to(self, guest: Guest) -> str:
        """The host (URI) that this run has moved the guest to, or tried to last; empty where there is none."""
        ...

    def close(self) -> None:
        """Give the connections back, as far as that cannot block."""
        ...
