"""A guest in memory."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from lastcall.api.guests import Ended, Guest, GuestState
from lastcall.api.run import Json
from lastcall.hypervisor.ports import PLAIN, GuestFacts

URI = "fake:///system"
AgentCall: TypeAlias = tuple[str, Mapping[str, Json]]
"""A command to a guest agent: its name, its arguments."""
AgentAnswer: TypeAlias = "Json | Exception | Callable[[Mapping[str, Json]], Json]"
"""What an agent returns, raises, or makes of the arguments."""


@dataclass(slots=True)
class FakeGuest:
    """A guest in memory: how long it takes to go off, what it is deaf to, what libvirt refuses or hangs in.

    `busy_until`: somebody's job holds it, and libvirt refuses everything but the plug.

    `appears_at`: it is started at that time only. `reboots`: how often it begins anew instead of powering off.
    `breaks`: by what it goes off so fast that the request itself fails.
    `agent`: a guest agent is connected, which answers unless the guest is deaf to it.
    `backed_up`: libvirt keeps it for its backup when it powers off; `kept`: it has done so.
    `bad_image`: no start from its saved image succeeds; `drops_image`: libvirt removes that image, and boots.
    `lacks`: what it needs for its start and is not there: a start is refused meanwhile.
    `quiet`: no event says that it went off.
    `stopped_by`: the setting of the daemon by which it is off, or goes off without being asked.
    `life` counts its starts by others.
    `lingers`: once it has powered off, libvirt calls it off only when its plug is pulled.
    `elsewhere`: what it does on other hosts, by their URIs; those that are not in it do not answer.
    `answers_after`: how long these take for an answer. `saved_at`: those that have a saved image of it. `leaves`: those
    that it is being migrated away from. `undefined`: it is not defined here.
    `xml`, `addresses`: what libvirt tells of it. `commands`: what its agent answers to commands beside the two that all
    guests know, or raises.
    """

    name: str
    takes: float = 1.0
    deaf_to: frozenset[str] = frozenset()
    refuses: frozenset[str] = frozenset()
    hangs_in: frozenset[str] = frozenset()
    breaks: frozenset[str] = frozenset()
    state: GuestState = GuestState.RUNNING
    persistent: bool = True
    driver: str = "QEMU"
    uri: str = URI
    starts_after: int = 1
    uuid: str = ""
    saved: bool = False
    bad_image: bool = False
    drops_image: bool = False
    lacks: str = ""
    stopped_by: str = ""
    traits: GuestFacts = PLAIN
    appears_at: float | None = None
    reboots: int = 0
    busy_until: float = 0.0
    agent: bool = False
    backed_up: bool = False
    kept: bool = False
    life: int = 0
    lingers: bool = False
    quiet: bool = False
    elsewhere: dict[str, GuestState] = field(default_factory=dict[str, GuestState])
    moved_to: str = ""
    answers_after: dict[str, float] = field(default_factory=dict[str, float])
    saved_at: set[str] = field(default_factory=set[str])
    leaves: set[str] = field(default_factory=set[str])
    undefined: bool = False
    xml: str = ""
    addresses: tuple[str, ...] = ()
    commands: dict[str, AgentAnswer] = field(default_factory=dict[str, AgentAnswer])
    told: list[AgentCall] = field(default_factory=list[AgentCall])
    ended: Ended | None = None
    asked: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    off_at: float | None = None

    def __post_init__(self) -> None:
        self.uuid = self.uuid or str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.uri}#{self.name}"))

    @property
    def guest(self) -> Guest:
        """As libvirt would list it."""
        return Guest(
            uri=self.uri,
            uuid=self.uuid,
            name=self.name,
            driver=self.driver,
            persistent=self.persistent,
            state=self.state,
        )
