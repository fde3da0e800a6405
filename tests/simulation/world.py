"""What a world is made of: plain values, all drawn from one seed before anything runs. Times are seconds."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from lastcall import GuestState, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """libvirt's error instead of an accepted request, `after` so long; `until` then (inf: a property of the method)."""

    code: int
    until: float = math.inf
    after: float = 0.0

    @property
    def for_good(self) -> bool:
        """Whether no patience helps."""
        return self.until == math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What becomes of one event: brought so many times (0: lost), so late. Events of one guest keep their order."""

    copies: int = 1
    late: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestNature:
    """One guest: how it behaves, what libvirt does with requests for it, and what is configured for it.

    `takes` to obey, `saving` to be saved, `plug` until a destroyed one is off. `silent`: what is delivered and never
    answered, `hangs`: neither. `reboots`: how often it begins anew instead of powering off. `starts_after`: the attempt
    at which a start succeeds. `deliveries`: what becomes of its events, in turn. `waiting`: it was stopped by hand.
    """

    name: str
    uri: str
    driver: str = "QEMU"
    persistent: bool = True
    state: GuestState = GuestState.RUNNING
    agent: bool = False
    takes: float = 1.0
    saving: float = 1.0
    plug: float = 0.0
    deaf_to: frozenset[str] = frozenset()
    refuses: Mapping[str, Refusal] = field(default_factory=dict[str, Refusal])
    silent: frozenset[str] = frozenset()
    hangs: frozenset[str] = frozenset()
    breaks: frozenset[str] = frozenset()
    reboots: int = 0
    restarts: bool = False
    unsaveable: str = ""
    starts_after: int = 1
    deliveries: tuple[Delivery, ...] = (Delivery(),)
    waiting: bool = False
    ladder: tuple[tuple[str, float | None], ...] = ()
    last_resort: tuple[str, ...] = ("destroy",)
    timeout: float = 90.0
    needs: tuple[str, ...] = ()
    order: int | None = None
    paused: str = "save"
    jobs: str = "wait"
    transient: str = "stop"
    manage: bool = True
    restore: bool = True

    @property
    def ours(self) -> bool:
        """Whether it is to come back, by its settings."""
        return self.manage and self.restore and self.persistent

    @property
    def left_by_setting(self) -> bool:
        """Whether a run is to have nothing to do with it."""
        paused = self.paused == "leave" and self.state is GuestState.PAUSED
        return not self.manage or paused or (self.transient == "leave" and not self.persistent)

    @property
    def waits(self) -> bool:
        """Whether it is on the list before the run, where a run by hand has put it."""
        return self.waiting and self.ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One connection: answers `latency` late, cannot be opened before `alive_from`."""

    uri: str
    reconnect: float = 60.0
    latency: float = 0.0
    alive_from: float = 0.0
    parallel: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Somebody else does something to a guest or a connection, so long after the run began, and for so long."""

    at: float
    what: str
    to: str
    lasts: float = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """A host stop that wants to begin while the run goes on, and has so many seconds from then on."""

    at: float
    reason: Reason
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """While a host stop goes on, somebody says when it has to be over (seconds from its start), or takes that back."""

    at: float
    ends: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mains:
    """Somebody says that the mains are `back`, or gone again and for how many seconds there is power from then on."""

    at: float
    back: bool
    lasts: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything that a shutdown and the restores after it meet. `disk`: what the n-th write of the list meets.

    `battery`: seconds that somebody gives a run for want of power; `told_at`: when systemd is told to stop the host.
    """

    seed: int
    reason: Reason
    force: bool
    names: tuple[str, ...]
    deadline: float
    reserve: float
    grace: float
    parallel: int
    lines: tuple[Line, ...]
    guests: tuple[GuestNature, ...]
    incidents: tuple[Incident, ...]
    signals: tuple[float, ...]
    joining: Joining | None
    disk: Mapping[int, str]
    rest: float
    afterwards: tuple[Incident, ...]
    restore_signals: tuple[float, ...]
    restore_deadline: float
    restore_parallel: int
    attempts: int
    announced: tuple[Announced, ...] = ()
    mains: tuple[Mains, ...] = ()
    battery: float | None = None
    told_at: float = math.inf

    @property
    def stops_the_host(self) -> bool:
        """Whether the run is a host stop from its beginning."""
        return not self.reason.voluntary

    def nature(self, name: str) -> GuestNature:
        """The guest of this name."""
        return next(guest for guest in self.guests if guest.name == name)
