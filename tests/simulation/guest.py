"""A guest of the simulation: it knows what really happened to it, which is what reports are held against."""

from collections.abc import Callable
from dataclasses import dataclass, field

from lastcall.api.guests import Ended, GuestState
from lastcall.hypervisor.ports import Condition, GuestFacts, OtherJob
from lastcall.testing.memory import FakeGuest
from simulation.world import Delivery, GuestNature

# By these the core asks nobody to stop: it wakes, forces, or looks after a job.
PLUGS = frozenset({"destroy", "graceful"})
PREPARES = frozenset({"resume", "wake"})


def _nothing() -> None:
    """A guest that was not asked has nothing to forget."""


@dataclass(slots=True)
class Request:
    """What lastcall sent: when, how, and what libvirt said to it; "" while it has not answered.

    `not_running`: it was refused, as libvirt calls the domain not running. `take_back`: have it forgotten then.
    """

    at: float
    how: str
    answer: str = ""
    not_running: bool = False
    take_back: Callable[[], None] = _nothing

    @property
    def heard(self) -> bool:
        """Whether the guest can have heard it: accepted, or unanswered when it was given up."""
        return self.answer in {"", "ok", "given up"}

    @property
    def in_doubt(self) -> bool:
        """Whether nobody can tell: it broke off, with its guest or with its connection."""
        return self.answer in {"broke", "lost"}


@dataclass(slots=True)
class Change:
    """A guest went on or off, when, how, and by whom: `itself`, `lastcall`, `somebody` or the `host`."""

    at: float
    ended: Ended | None
    by: str


@dataclass(slots=True)
class Job:
    """What keeps the domain busy: `save`, `migrate`, `dump` or `backup`, by whom."""

    what: str
    by: str


def _plain() -> GuestNature:
    return GuestNature(name="", uri="")


@dataclass(slots=True)
class SimulatedGuest(FakeGuest):
    """A guest with its nature and its history.

    `life` counts its starts and ends, as what an earlier one heard is forgotten. `gone`: libvirt knows it no more.
    `hopeless`: when its system crashed, or its disk failed.
    """

    nature: GuestNature = field(default_factory=_plain)
    requests: list[Request] = field(default_factory=list[Request])
    changes: list[Change] = field(default_factory=list[Change])
    job: Job | None = None
    held: Condition = Condition.FREE
    gone: bool = False
    restarts: bool = False
    events: int = 0
    next_event: float = 0.0
    start_refused: bool = False
    hopeless: list[float] = field(default_factory=list[float])

    @classmethod
    def of(cls, nature: GuestNature) -> "SimulatedGuest":
        """A guest of this nature."""
        return cls(
            name=nature.name,
            uri=nature.uri,
            driver=nature.driver,
            persistent=nature.persistent,
            agent=nature.agent,
            deaf_to=nature.deaf_to,
            state=nature.state,
            starts_after=nature.starts_after,
            reboots=nature.reboots,
            restarts=nature.restarts,
            nature=nature,
            ended=Ended.SHUTDOWN if nature.state is GuestState.OFF else None,
        )

    @property
    def active(self) -> bool:
        """Whether it is not off."""
        return self.state is not GuestState.OFF

    @property
    def facts(self) -> GuestFacts:
        """What libvirt tells of it now."""
        return GuestFacts(
            condition=self.held, job=self._job, unsaveable=self.nature.unsaveable, restarts=self.nature.restarts
        )

    @property
    def _job(self) -> OtherJob | None:
        jobs = {"migrate": OtherJob.MIGRATION, "save": OtherJob.SAVE, "dump": OtherJob.DUMP, "backup": OtherJob.BACKUP}
        return jobs[self.job.what] if self.job and self.job.by == "somebody" else None

    def delivery(self) -> Delivery:
        """What becomes of its next event."""
        self.events += 1
        return self.nature.deliveries[(self.events - 1) % len(self.nature.deliveries)]
