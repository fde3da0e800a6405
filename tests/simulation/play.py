"""Plays a world: a shutdown, what comes after it, and two restores, all by the real engine."""

import asyncio
import shutil
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from lastcall.api.guests import Key, Reason, RunKind
from lastcall.persistence.state import StateFile
from lastcall.planning.selection import Selection
from lastcall.records.records import Record
from lastcall.records.run_log import RunLog
from lastcall.report.narrator import Narrator
from lastcall.runs.assembly.outside import Outside
from lastcall.runs.assembly.parts import Parts, assemble
from lastcall.runs.assembly.stories import build_restore, build_shutdown
from lastcall.runs.request import RunRequest
from lastcall.runs.runner import Execution
from lastcall.runs.shutdown import Shutdown
from lastcall.testing.memory import VirtualLoop
from lastcall.timing.deadline import Deadline
from simulation.configuration import configured
from simulation.disk import BadDisk
from simulation.history import BOOT, NEXT_BOOT, History, Played, Truth
from simulation.hypervisor import SimulatedHypervisor
from simulation.incidents import schedule
from simulation.world import Announced, Mains, World


@contextmanager
def played(world: World, folder: Path) -> Generator[History]:
    """Everything that happens in a world; the folder is its disk, and is removed afterwards."""
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
        self._loaded = configured(world, folder)

    def _dated(self, what: str) -> str:
        return f"{self._loop.time() - self._hypervisor.began:9.3f}  {what}"

    def play(self) -> None:
        world, hypervisor = self._world, self._hypervisor
        self._set_up()
        self._run(RunKind.SHUTDOWN, world.reason, self._shutdown, BOOT)
        stopped_host = self.history.stopped_host
        if stopped_host:
            hypervisor.note("the host goes down, and boots")
            hypervisor.cut_off()
        else:
            self._rest()
        boot, reason = (NEXT_BOOT, Reason.BOOT) if stopped_host else (BOOT, Reason.MANUAL)
        schedule(hypervisor, world.afterwards)
        self._run(RunKind.RESTORE, reason, lambda parts: self._restore(parts, at_boot=stopped_host), boot)
        self._rest()
        self._run(RunKind.RESTORE, reason, build_restore, boot)

    def _rest(self) -> None:
        self._loop.run_until_complete(asyncio.sleep(self._world.rest))
        self._hypervisor.settle()

    def _set_up(self) -> None:
        """The list as earlier runs of this boot have left it: some guests were stopped by hand."""
        state = StateFile(self._folder)
        state.stamp(BOOT)
        waiting = [one.guest for one in self._hypervisor.population.values() if one.nature.waits]
        state.add(waiting, run="an earlier one", boot_id=BOOT, cause="hand", due=False)
        state.save()
        for line in self._world.lines:
            if line.alive_from:
                self._hypervisor.keep_dead(line.uri, line.alive_from)

    def _shutdown(self, parts: Parts) -> Execution:
        world, run = self._world, build_shutdown(parts, chosen=Selection(self._world.names), force=self._world.force)
        schedule(self._hypervisor, world.incidents)
        self._let_signal(run, world.signals)
        if world.joining:
            self._let_join(run, parts.stream.start)
        for announced in world.announced:
            self._let_hear(run, parts.stream.start, announced)
        for mains in world.mains:
            self._let_hear_of_the_mains(run, parts, mains)
        return run

    def _let_join(self, run: Shutdown, start: float) -> None:
        joining = self._world.joining
        if joining:
            limit = joining.at + joining.limit
            deadline = Deadline.after(start, limit, reserve=self._world.reserve, grace=self._world.grace)
            what = f"a host stop joins, reason {joining.reason.value}, over by {limit:.3f}"
            self._after(joining.at, what, lambda: run.join(joining.reason, deadline))

    def _let_hear(self, run: Shutdown, start: float, announced: Announced) -> None:
        reserve, grace, ends = self._world.reserve, self._world.grace, announced.ends
        deadline = None if ends is None else Deadline.after(start, ends, reserve=reserve, grace=grace)
        history = self.history.shutdown

        def hear() -> None:
            if not run.announce(None, deadline):
                history.announced = ends

        told = "an announcement is taken back" if ends is None else f"it is announced that the host stops at {ends:.3f}"
        self._after(announced.at, told, hear)

    def _let_hear_of_the_mains(self, run: Shutdown, parts: Parts, mains: Mains) -> None:
        world, ends = self._world, None if mains.lasts is None else mains.at + mains.lasts

        def back() -> None:
            stops = Reason.POWEROFF if mains.at >= world.told_at else None
            run.power_returns(parts.ordinary(stops or Reason.SHED), stops)

        def gone() -> None:
            run.announce(Reason.POWER, None if ends is None else parts.cut(ends))

        if mains.back:
            self._after(mains.at, "the mains are back", back)
        else:
            self._after(mains.at, f"the mains are gone again, until {ends}", gone)

    def _restore(self, parts: Parts, *, at_boot: bool) -> Execution:
        run = build_restore(parts, at_boot=at_boot)
        self._let_signal(run, self._world.restore_signals)
        return run

    def _let_signal(self, run: Execution, times: Sequence[float]) -> None:
        for at in times:
            self._after(at, "lastcall gets a signal", run.interrupt)

    def _after(self, seconds: float, what: str, action: Callable[[], object]) -> None:
        """Do something to the run that is about to begin; to one that is over by then nothing can be done."""
        run = self.history.runs[-1]

        def act() -> None:
            if not run.over:
                self._hypervisor.note(what)
                action()

        self._loop.call_later(seconds, act)

    def _run(self, kind: RunKind, reason: Reason, build: Callable[[Parts], Execution], boot: str) -> None:
        hypervisor, folder = self._hypervisor, self._folder
        state = BadDisk(folder, self._world.disk if kind is RunKind.SHUTDOWN else {})
        state.load()
        run = Played(self._loop.time(), self._truth(), dict(state.entries))
        self.history.runs.append(run)
        hypervisor.began = run.began
        hypervisor.note(f"{kind.value} begins, reason {reason.value}")
        log = folder / f"log {len(self.history.runs)}"  # one each: run ids are drawn anew each time, and may be equal
        outside = Outside(
            hypervisor.workers, hypervisor, lambda _place, _ends: RunLog(log).take, wait=lambda _event, _seconds: None
        )
        battery = self._world.battery if kind is RunKind.SHUTDOWN else None
        request = RunRequest(
            kind=kind, reason=reason, deadline=battery, started=run.began, sinks=[("story", self._teller(run))]
        )
        parts = assemble(self._loaded, request, self._loop, outside)
        parts.books.state, parts.books.boot_id = state, boot
        run.log = log / f"{parts.context.id}.jsonl"
        try:
            run.report = self._loop.run_until_complete(build(parts).execute())
        except Exception as error:
            run.error = f"{type(error).__name__}: {error}"
        run.over, run.ended, run.after = True, self._loop.time(), self._truth()
        hypervisor.note(f"{kind.value} ends" + (f" with {run.error}" if run.error else ""))
        on_disk = StateFile(folder)
        on_disk.load()
        run.listed_after = dict(on_disk.entries)

    def _teller(self, run: Played) -> Callable[[Record], None]:
        narrator = Narrator(verbose=True)

        def take(record: Record) -> None:
            run.records.append(record)
            line = narrator.line(record)
            if line:
                self._hypervisor.note(f"    lastcall: {line}")

        return take

    def _truth(self) -> dict[Key, Truth]:
        found = {key: self._hypervisor.guest(key) for key in self._hypervisor.guests}
        return {key: Truth(one.state, len(one.changes), len(one.requests)) for key, one in found.items()}


def _told(context: dict[str, Any]) -> str:
    return f"{context.get('message')}: {context.get('exception')!r}"
