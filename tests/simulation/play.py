"""Plays a world: a shutdown, what comes after it, and two restores, all by the real engine."""

import asyncio
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from lastcall.api.guests import GuestState, Key, Reason, RunKind
from lastcall.api.results import Report
from lastcall.config.load import parse
from lastcall.config.settings import Bootstrap
from lastcall.hooks.discovery import Plugins
from lastcall.persistence.state import Entry, StateFile
from lastcall.records.records import Record, RunJoined
from lastcall.records.run_log import RunLog
from lastcall.report.narrator import Narrator
from lastcall.runs.assembly import Outside, Parts, RunRequest, assemble, build_restore, build_shutdown
from lastcall.runs.loading import Loaded
from lastcall.runs.runner import Execution
from lastcall.runs.shutdown import Shutdown
from lastcall.testing import VirtualLoop
from lastcall.timing.deadline import Deadline
from simulation.configuration import configuration
from simulation.disk import BadDisk
from simulation.hypervisor import SimulatedHypervisor
from simulation.incidents import schedule
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
    """One run: its report and what was true before and after it. Lists are those on disk, times the loop's."""

    began: float
    before: Mapping[Key, Truth]
    listed_before: Mapping[Key, Entry]
    report: Report | None = None
    error: str = ""
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
        return self.world.stops_the_host or any(isinstance(one, RunJoined) for one in self.shutdown.records)

    @property
    def restores(self) -> list[Played]:
        """The runs after it."""
        return self.runs[1:]


@cache
def _plugins() -> Plugins:
    """The bundled ones: to find and load them takes longer than to play a world."""
    return Plugins(Bootstrap())


@contextmanager
def played(world: World, folder: Path) -> Iterator[History]:
    """Everything that happens in a world; the folder is its disk, and is emptied afterwards."""
    with closing(VirtualLoop()) as loop:
        try:
            stage = _Stage(world, folder, loop)
            stage.play()
            yield stage.history
        finally:
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.wait(left))
            shutil.rmtree(folder, ignore_errors=True)


class _Stage:
    def __init__(self, world: World, folder: Path, loop: VirtualLoop) -> None:
        self._world, self._folder, self._loop = world, folder, loop
        story: list[str] = []
        self._hypervisor = SimulatedHypervisor(world, loop, lambda what: story.append(self._dated(what)))
        self.history = History(world, self._hypervisor, story)
        loop.set_exception_handler(lambda _loop, context: self.history.complaints.append(_told(context)))
        settings = parse(configuration(world, folder)).settings(_plugins().vocabulary)
        self._loaded = Loaded(settings, _plugins(), "file")

    def _dated(self, what: str) -> str:
        return f"{self._loop.time() - self._hypervisor.began:9.3f}  {what}"

    def play(self) -> None:
        world = self._world
        self._set_up()
        self._run(RunKind.SHUTDOWN, world.reason, self._shutdown, BOOT)
        stopped_host = self.history.stopped_host
        if stopped_host:
            self._hypervisor.note("the host goes down, and boots")
            self._hypervisor.cut_off()
        else:
            self._loop.run_until_complete(asyncio.sleep(world.rest))
            self._hypervisor.settle()
        boot, reason = (NEXT_BOOT, Reason.BOOT) if stopped_host else (BOOT, Reason.MANUAL)
        self._restore(boot, reason, at_boot=stopped_host)
        self._loop.run_until_complete(asyncio.sleep(world.rest))
        self._hypervisor.settle()
        self._restore(boot, reason, at_boot=False)

    def _set_up(self) -> None:
        """The list as earlier runs of this boot have left it: some guests were stopped by hand."""
        state = StateFile(self._folder)
        state.stamp(BOOT)
        waiting = [one.guest for one in self._hypervisor.population.values() if one.nature.waiting and not one.active]
        state.add(waiting, run="an earlier one", boot_id=BOOT, host_stop=False)
        state.save()
        for line in self._world.lines:
            if line.alive_from:
                self._hypervisor.keep_dead(line.uri, line.alive_from)

    def _shutdown(self, parts: Parts) -> Execution:
        world, run = self._world, build_shutdown(parts, names=self._world.names, force=self._world.force)
        schedule(self._hypervisor, world.incidents)
        for at in world.signals:
            self._loop.call_later(at, self._interrupt, run)
        joining = world.joining
        if joining:
            ends = joining.at + joining.limit
            deadline = Deadline.after(parts.stream.start, ends, reserve=world.reserve, grace=world.grace)
            self._loop.call_later(joining.at, self._join, run, joining.reason, deadline)
        return run

    def _join(self, run: Shutdown, reason: Reason, deadline: Deadline) -> None:
        if not self.history.shutdown.ended:
            self._hypervisor.note(f"a host stop joins, reason {reason.value}, {deadline.end:.3f} s")
            run.join(reason, deadline)

    def _interrupt(self, run: Execution) -> None:
        if not self.history.shutdown.ended:
            self._hypervisor.note("lastcall gets a signal")
            run.interrupt()

    def _restore(self, boot: str, reason: Reason, *, at_boot: bool) -> None:
        def build(parts: Parts) -> Execution:
            if at_boot:
                schedule(self._hypervisor, self._world.afterwards)
            return build_restore(parts, at_boot=at_boot)

        self._run(RunKind.RESTORE, reason, build, boot)

    def _run(self, kind: RunKind, reason: Reason, build: Callable[[Parts], Execution], boot: str) -> None:
        hypervisor, folder = self._hypervisor, self._folder
        state = BadDisk(folder, self._world.disk if kind is RunKind.SHUTDOWN else {})
        state.load()
        run = Played(self._loop.time(), self._truth(), dict(state.entries))
        self.history.runs.append(run)
        hypervisor.began = run.began
        hypervisor.note(f"{kind.value} begins, reason {reason.value}")
        narrator = Narrator(verbose=True)

        def take(record: Record) -> None:
            run.records.append(record)
            line = narrator.line(record)
            if line:
                hypervisor.note(f"    lastcall: {line}")

        outside = Outside(
            hypervisor.workers, hypervisor, lambda place, _ends: RunLog(place).take, wait=lambda _event, _seconds: None
        )
        request = RunRequest(kind=kind, reason=reason, started=run.began, sinks=[("story", take)])
        parts = assemble(self._loaded, request, self._loop, outside)
        parts.books.state, parts.books.boot_id = state, boot
        run.log = folder / "runs" / f"{parts.context.id}.jsonl"
        try:
            run.report = self._loop.run_until_complete(build(parts).execute())
        except Exception as error:
            run.error = f"{type(error).__name__}: {error}"
        run.ended, run.after = self._loop.time(), self._truth()
        hypervisor.note(f"{kind.value} ends" + (f" with {run.error}" if run.error else ""))
        on_disk = StateFile(folder)
        on_disk.load()
        run.listed_after = dict(on_disk.entries)

    def _truth(self) -> dict[Key, Truth]:
        guests = self._hypervisor.guests
        found = {key: self._hypervisor.guest(key) for key in guests}
        return {key: Truth(one.state, len(one.changes), len(one.requests)) for key, one in found.items()}


def _told(context: dict[str, Any]) -> str:
    return f"{context.get('message')}: {context.get('exception')!r}"
