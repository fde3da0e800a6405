"""Whole runs on guests in memory: the real engine, plugins and configuration, with a clock that jumps."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Literal

from lastcall.api.guests import Key, Reason, RunKind
from lastcall.api.results import Report
from lastcall.config.load import read_texts
from lastcall.config.settings import Bootstrap
from lastcall.hooks.discovery import Plugins
from lastcall.planning.selection import Selection
from lastcall.records.records import Sink
from lastcall.runs.assembly.outside import Outside
from lastcall.runs.assembly.parts import Parts, assemble
from lastcall.runs.assembly.stories import build_restore, build_shutdown
from lastcall.runs.loading import Loaded
from lastcall.runs.request import RunRequest
from lastcall.runs.restore import Restore
from lastcall.runs.runner import Execution
from lastcall.runs.shutdown import Shutdown
from lastcall.runs.sleep.building import build_going_to_sleep, build_waking
from lastcall.runs.sleep.going_to_sleep import GoingToSleep
from lastcall.runs.sleep.waking import Waking
from lastcall.testing.memory.clock import VirtualLoop
from lastcall.testing.memory.guest import URI, FakeGuest
from lastcall.testing.memory.hypervisor import FakeHypervisor
from lastcall.testing.memory.workers import InlineWorkers
from lastcall.timing.budget import GOING_TO_SLEEP, WAKING


def run_shutdown(
    folder: Path,
    guests: Sequence[FakeGuest],
    *,
    plugins: Mapping[str, object] | None = None,
    config: str = "",
    reason: Reason = Reason.MANUAL,
    names: Sequence[str] = (),
    force: bool = False,
    stages: Mapping[Key, str] | None = None,
    yes_neighbours: bool = False,
    dead: Sequence[str] = (),
    sink: Sink | None = None,
    meanwhile: Callable[[FakeHypervisor, Shutdown], None] | None = None,
    reboots: Callable[[], None] | None = None,
) -> Report:
    """Shut these guests down and return the report. State is kept in `folder`; times are those of the jumping clock.

    `meanwhile` is called once at the start and may schedule things with `hypervisor.loop.call_later`.
    """

    def build(parts: Parts, hypervisor: FakeHypervisor) -> Execution:
        chosen = Selection(names)
        run = build_shutdown(parts, chosen=chosen, force=force, stages=stages, yes_neighbours=yes_neighbours)
        if meanwhile:
            meanwhile(hypervisor, run)
        return run

    return _run(folder, guests, RunKind.SHUTDOWN, reason, plugins, config, dead, sink, build, reboots=reboots)


def run_restore(
    folder: Path,
    guests: Sequence[FakeGuest],
    *,
    plugins: Mapping[str, object] | None = None,
    config: str = "",
    names: Sequence[str] = (),
    causes: Sequence[Literal["host", "hand", "shed"]] = (),
    fresh: bool = False,
    at_boot: bool = False,
    dead: Sequence[str] = (),
    sink: Sink | None = None,
    meanwhile: Callable[[FakeHypervisor, Restore], None] | None = None,
) -> Report:
    """Restore what an earlier `run_shutdown` in the same folder wrote down. `fresh`: without saved images.

    `at_boot`: as the unit does in the boot after that.

    `meanwhile`: as there.
    """

    def build(parts: Parts, hypervisor: FakeHypervisor) -> Execution:
        if at_boot:  # that which was before it has just ended
            state = parts.books.state
            boots = {entry.boot_id for entry in state.entries.values()}
            state.boot, state.previous_boot = parts.books.boot_id, next(iter(boots), None)
            state.entries = {key: replace(entry, due=True) for key, entry in state.entries.items()}
        run = build_restore(parts, chosen=Selection(names, causes=causes), fresh=fresh, at_boot=at_boot)
        if meanwhile:
            meanwhile(hypervisor, run)
        return run

    return _run(folder, guests, RunKind.RESTORE, Reason.MANUAL, plugins, config, dead, sink, build)


def run_sleep(
    folder: Path,
    guests: Sequence[FakeGuest],
    *,
    plugins: Mapping[str, object] | None = None,
    config: str = "",
    deadline: float = GOING_TO_SLEEP,
    sink: Sink | None = None,
    meanwhile: Callable[[FakeHypervisor, GoingToSleep], None] | None = None,
) -> Report:
    """Do what comes before a sleep of the host, in so many seconds. `meanwhile`: as for a shutdown."""

    def build(parts: Parts, hypervisor: FakeHypervisor) -> Execution:
        run = build_going_to_sleep(parts)
        if meanwhile:
            meanwhile(hypervisor, run)
        return run

    return _run(folder, guests, RunKind.SHUTDOWN, Reason.SLEEP, plugins, config, (), sink, build, deadline)


def run_waking(
    folder: Path,
    guests: Sequence[FakeGuest],
    *,
    plugins: Mapping[str, object] | None = None,
    config: str = "",
    dead: Sequence[str] = (),
    sink: Sink | None = None,
    host_stops: bool = False,
    meanwhile: Callable[[FakeHypervisor, Waking], None] | None = None,
) -> Report:
    """Do what comes after a sleep of the host. `meanwhile`: as for a shutdown. `host_stops`: see `Waking`."""

    def build(parts: Parts, hypervisor: FakeHypervisor) -> Execution:
        run = build_waking(parts, host_stops=host_stops)
        if meanwhile:
            meanwhile(hypervisor, run)
        return run

    return _run(folder, guests, RunKind.RESTORE, Reason.SLEEP, plugins, config, dead, sink, build, WAKING)


def _run(
    folder: Path,
    guests: Sequence[FakeGuest],
    kind: RunKind,
    reason: Reason,
    plugins: Mapping[str, object] | None,
    config: str,
    dead: Sequence[str],
    sink: Sink | None,
    build: Callable[[Parts, FakeHypervisor], Execution],
    deadline: float | None = None,
    reboots: Callable[[], None] | None = None,
) -> Report:
    uris = dict.fromkeys(guest.uri for guest in guests)
    texts = {Path("<memory>"): own_places(folder, uris), **({Path("<text>"): config} if config else {})}
    loaded = load_in_memory(texts, plugins).for_reason(reason)
    with closing(VirtualLoop()) as loop:
        hypervisor = FakeHypervisor(guests, loop, dead=dead)
        outside = Outside(InlineWorkers(), hypervisor, lambda log, _ends: log.take, wait=lambda _event, _seconds: None)
        sinks = [("sink", sink)] if sink else []
        request = RunRequest(kind=kind, reason=reason, deadline=deadline, started=0.0, sinks=sinks, reboots=reboots)
        parts = assemble(loaded, request, loop, outside)
        parts.books.state.load()
        return loop.run_until_complete(build(parts, hypervisor).execute())


def load_in_memory(texts: Mapping[Path, str], plugins: Mapping[str, object] | None = None) -> Loaded:
    """A configuration of these texts, in their order, with these plugins. Raises ConfigInvalid."""
    document = read_texts(texts)
    loaded = Plugins(Bootstrap(hooks=document.bootstrap.hooks, paths=document.bootstrap.paths), plugins)
    return Loaded(loaded.settings(document), loaded, "file", document)


def own_places(folder: Path, uris: Iterable[str]) -> str:
    """The part of a configuration by which a run keeps its files in a folder, and has these connections."""
    paths = {"state": str(folder), "run": str(folder), "hooks": str(folder / "hooks.d")}
    return json.dumps({"connections": list(uris) or [URI], "paths": paths})
