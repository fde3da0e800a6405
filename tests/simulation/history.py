"""What was played in a world: its runs, each with its report and with what was true before and after it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lastcall.api.guests import GuestState, Key
from lastcall.api.results import Report
from lastcall.persistence.waiting.entry import Entry
from lastcall.records.records import Record, RunJoined
from simulation.hypervisor import SimulatedHypervisor
from simulation.world import World

BOOT, NEXT_BOOT = "this boot", "next boot"


@dataclass(frozen=True, slots=True)
class Truth:
    """What a guest was at one moment, in truth."""

    state: GuestState
    changes: int
    requests: int

    @property
    def active(self) -> bool:
        """Whether it was not off."""
        return self.state is not GuestState.OFF


@dataclass(slots=True)
class Played:
    """One run: its report and what was true before and after it. Lists are those on disk, times the loop's.

    `announced`: the end (seconds from its start) that it was told last, and took.
    """

    began: float
    before: Mapping[Key, Truth]
    listed_before: Mapping[Key, Entry]
    report: Report | None = None
    error: str = ""
    over: bool = False
    announced: float | None = None
    ended: float = 0.0
    after: Mapping[Key, Truth] = field(default_factory=dict[Key, Truth])
    listed_after: Mapping[Key, Entry] = field(default_factory=dict[Key, Entry])
    records: list[Record] = field(default_factory=list[Record])
    log: Path = Path()


@dataclass(slots=True)
class History:
    """What was played in a world. `complaints`: what asyncio had to say."""

    world: World
    hypervisor: SimulatedHypervisor
    story: list[str]
    runs: list[Played] = field(default_factory=list[Played])
    complaints: list[str] = field(default_factory=list[str])

    @property
    def shutdown(self) -> Played:
        """The first run."""
        return self.runs[0]

    @property
    def stopped_host(self) -> bool:
        """Whether the first run was a host stop in the end."""
        if self.world.mains and self.shutdown.report:
            return not self.shutdown.report.run.reason.voluntary
        return self.world.stops_the_host or any(isinstance(one, RunJoined) for one in self.shutdown.records)

    @property
    def restores(self) -> list[Played]:
        """The runs after it."""
        return self.runs[1:]
