"""The lab: guests in memory, a clock that jumps, and whole runs of the real engine on them with a plugin under test."""

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from lastcall.api.guests import Guest, GuestState, Reason, RunKind
from lastcall.api.results import HookRecord, Report
from lastcall.api.run import Json
from lastcall.cli.commands.check import find_problems
from lastcall.cli.commands.check_findings import tell_findings
from lastcall.cli.dry_run.facts import plan_json
from lastcall.cli.dry_run.look import look_at_plan
from lastcall.cli.invocation import Invocation
from lastcall.cli.rehearsal import Rehearsal
from lastcall.errors import Problem
from lastcall.hooks.occasions.occasions import usual_reason
from lastcall.hooks.order import RESTORE_HOOKS
from lastcall.planning.selection import Selection
from lastcall.records.records import GuestPlanned, HookSaid, Record
from lastcall.runs.assembly.outside import Outside
from lastcall.runs.assembly.parts import Parts, assemble
from lastcall.runs.assembly.stories import build_restore, build_shutdown
from lastcall.runs.loading import Loaded
from lastcall.runs.request import RunRequest
from lastcall.runs.sleep.building import build_going_to_sleep, build_waking
from lastcall.testing.command import CommandOutcome, run_command_of_plugin
from lastcall.testing.failures import Failures, PluginUnusable
from lastcall.testing.guest import LabGuest
from lastcall.testing.lab_plugin import LabPlugin
from lastcall.testing.memory.guest import URI, FakeGuest
from lastcall.testing.memory.hypervisor import FakeHypervisor
from lastcall.testing.memory.runs import load_in_memory, own_places
from lastcall.testing.shell import NAME
from lastcall.testing.threads import PATIENCE, LabLoop, LabWorkers
from lastcall.timing.budget import GOING_TO_SLEEP, WAKING


class Lab:
    """A host in memory for the tests of a plugin.

    `plugins` are those under test, by name; beside them are the bundled ones, and nothing else that is installed. Files
    are in `folder`; no libvirt is connected to, and no configuration of this machine is read. Every guest has a shell
    that answers what the test says, unless the configuration names another.

    `parallel`: guests that move at once, 0 = no limit. `patience`: seconds of real time in which one call may compute,
    or wait for a program.
    """

    def __init__(
        self,
        folder: Path,
        *,
        plugins: Mapping[str, object] | None = None,
        config: str = "",
        parallel: int = 0,
        patience: float = PATIENCE,
    ) -> None:
        self.folder = folder
        self.config = config
        self.parallel = parallel
        self.patience = patience
        self.guests: dict[str, LabGuest] = {}
        self.lines: list[str] = []
        self._plugins = dict(plugins or {})
        self._failures = Failures()
        self._sinks = [("lab", self._note)]
        self._own = LabPlugin(self.guests, self._failures)
        for plugin in self._plugins.values():
            self._failures.watch_over(plugin)

    def guest(
        self,
        name: str,
        *,
        takes: float = 1.0,
        state: GuestState = GuestState.RUNNING,
        agent: bool = False,
        addresses: Sequence[str] = (),
        shell: bool = True,
        settings: Mapping[str, Json] | None = None,
        persistent: bool = True,
        driver: str = "QEMU",
        uri: str = URI,
        xml: str = "",
    ) -> LabGuest:
        """Define a guest: the seconds it takes to go off, and what it has.

        `settings`: guest keys as in a rule; rules of the configuration win over them.
        """
        fake = FakeGuest(
            name, takes=takes, state=state, agent=agent, addresses=tuple(addresses), persistent=persistent,
            driver=driver, uri=uri, xml=xml,
        )  # fmt: skip
        self.guests[name] = LabGuest(fake, settings or {}, shell=shell)
        return self.guests[name]

    def drop_in(self, path: str, text: str) -> Path:
        """Put a drop-in into `hooks.d/`: `pre_shutdown/50-x` is an executable, `50-x.py` a module."""
        file = self.folder / "hooks.d" / path
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
        self._failures.watch_over_file(file)
        return file

    def tolerates(self, *kinds: type[BaseException]) -> None:
        """Let such exceptions of a plugin under test be what production makes of them, instead of failing the test."""
        self._failures.tolerate(kinds)

    def shutdown(
        self,
        *guests: LabGuest | str,
        reason: Reason = Reason.MANUAL,
        force: bool = False,
        deadline: float | None = None,
    ) -> Report:
        """Stop these guests, by name or glob, or all that run; returns the report."""
        request = RunRequest(kind=RunKind.SHUTDOWN, reason=reason, deadline=deadline, started=0.0, sinks=self._sinks)
        with self._assembled(request) as (parts, loop):
            parts.books.state.load()
            run = build_shutdown(parts, chosen=_selection(guests), force=force)
            return loop.run_until_complete(run.execute())

    def restore(self, *guests: LabGuest | str, fresh: bool = False, deadline: float | None = None) -> Report:
        """Start these guests, or all that wait since a shutdown of this lab; returns the report."""
        request = RunRequest(
            kind=RunKind.RESTORE, reason=Reason.MANUAL, deadline=deadline, started=0.0, sinks=self._sinks
        )
        with self._assembled(request) as (parts, loop):
            parts.books.state.load()
            run = build_restore(parts, chosen=_selection(guests), fresh=fresh)
            return loop.run_until_complete(run.execute())

    def go_to_sleep(self) -> Report:
        """Do what comes before the host sleeps: `pre_sleep`, and guests are paused or saved; returns the report."""
        request = RunRequest(
            kind=RunKind.SHUTDOWN, reason=Reason.SLEEP, deadline=GOING_TO_SLEEP, started=0.0, sinks=self._sinks
        )
        with self._assembled(request) as (parts, loop):
            parts.books.state.load()
            return loop.run_until_complete(build_going_to_sleep(parts).execute())

    def wake(self) -> Report:
        """Do what comes after it: those guests go on, clocks are set, and `post_wake`; returns the report."""
        request = RunRequest(kind=RunKind.RESTORE, reason=Reason.SLEEP, deadline=WAKING, started=0.0, sinks=self._sinks)
        with self._assembled(request) as (parts, loop):
            parts.books.state.load()
            return loop.run_until_complete(build_waking(parts).execute())

    def fire(
        self, hook: str, guest: LabGuest | None = None, *, rehearsal: bool = True, reason: Reason = Reason.MANUAL
    ) -> tuple[HookRecord, ...]:
        """Fire one hook, as `lastcall hook` does, and return what each call of it did."""
        kind, reason = RunKind.RESTORE if hook in RESTORE_HOOKS else RunKind.SHUTDOWN, usual_reason(hook, reason)
        request = RunRequest(kind=kind, reason=reason, rehearsal=rehearsal, started=0.0, sinks=self._sinks)
        with self._assembled(request) as (parts, loop):
            if hook == "post_check":  # what it is told has to be found first
                loop.run_until_complete(self._check(parts, loop))
                return tuple(call for call in parts.stream.story.report().hooks if call.hook == hook)
            return loop.run_until_complete(_fire(parts, hook, guest and guest.guest))

    def plan(self, *guests: LabGuest | str, reason: Reason = Reason.MANUAL) -> Mapping[str, Any]:
        """Return what `lastcall plan --json` says of such a shutdown."""
        request = RunRequest(kind=RunKind.SHUTDOWN, reason=reason, rehearsal=True, started=0.0, sinks=self._sinks)
        with self._assembled(request) as (parts, loop):
            seen = loop.run_until_complete(look_at_plan(parts, _selection(guests), Invocation()))
            problems = parts.stream.story.report().problems
            return json.loads(plan_json(parts, self._loaded, seen, problems))

    def check(self) -> tuple[Problem, ...]:
        """Return what `lastcall check` finds in this lab: in its configuration, in its guests, and by its plugins."""
        request = RunRequest(kind=RunKind.SHUTDOWN, rehearsal=True, started=0.0, sinks=self._sinks)
        with self._assembled(request) as (parts, loop):
            loop.run_until_complete(self._check(parts, loop))
            return parts.stream.story.report().problems

    def command(self, *words: str, answers: str = "") -> CommandOutcome:
        """Run a command of a plugin under test, as `lastcall WORDS` does, on these guests; `answers` are what it reads.

        Raises what the command raises and does not mean to.
        """
        plugins = self._load().plugins
        return run_command_of_plugin(words, plugins, lambda plugin: Rehearsal(plugin, self._rehearsed), answers=answers)

    async def _check(self, parts: Parts, loop: LabLoop) -> None:
        await find_problems(parts, self._loaded)

        def assembled(other: Loaded, ahead: RunRequest) -> Parts:
            return assemble(other, replace(ahead, started=loop.time()), loop, self._outside)

        await tell_findings(parts, self._loaded, assembled)

    @contextmanager
    def _rehearsed(self) -> Generator[Parts]:
        request = RunRequest(kind=RunKind.SHUTDOWN, rehearsal=True, started=0.0, sinks=self._sinks)
        with self._assembled(request) as (parts, _):
            yield parts

    @contextmanager
    def _assembled(self, request: RunRequest) -> Generator[tuple[Parts, LabLoop]]:
        """The parts of a run in this lab; what nobody meant to happen in it fails the test."""
        loaded = self._loaded = self._load().for_reason(request.reason)
        self.lines.clear()
        with closing(LabLoop()) as loop:
            loop.computing.patience = self.patience
            hypervisor = FakeHypervisor([one.fake for one in self.guests.values()], loop)
            workers = LabWorkers(loop, self._failures.see)
            outside = self._outside = Outside(workers, hypervisor, lambda log, _ends: log.take, wait=loop.wait)
            self._own.now = loop.time
            parts = assemble(loaded, request, loop, outside)
            for guest in self.guests.values():
                guest.schedule(hypervisor)
            yield parts, loop
            for failure in loop.computing.blocked:
                self._failures.add(failure)
        self._failures.tell()

    def _load(self) -> Loaded:
        texts = {Path("the lab's own"): self._own_text(), **({Path("config"): self.config} if self.config else {})}
        loaded = load_in_memory(texts, {**self._plugins, NAME: self._own})
        for problem in loaded.plugins.registry.problems:
            raise PluginUnusable(f"{problem.where}: {problem.message}" + (problem.remedy and f" → {problem.remedy}"))
        return loaded

    def _own_text(self) -> str:
        """Its part of the configuration, over which the test's is laid."""
        guests = self.guests.values()
        rules = [{"match": {"uuid": one.fake.uuid}, **one.rule} for one in guests if one.rule]
        places = own_places(self.folder, dict.fromkeys(one.fake.uri for one in guests))
        at_once = {"parallel": self.parallel}
        own = {"defaults": {"shell": NAME}, "guests": rules, "shutdown": at_once, "restore": at_once}
        return json.dumps({**json.loads(places), **own})

    def _note(self, record: Record) -> None:
        if isinstance(record, HookSaid):
            self.lines.append(record.line)


def _selection(guests: Sequence[LabGuest | str]) -> Selection:
    return Selection([one if isinstance(one, str) else one.name for one in guests])


async def _fire(parts: Parts, hook: str, guest: Guest | None) -> tuple[HookRecord, ...]:
    await parts.connections.connect()
    guests = await parts.connections.active() if guest is None else [guest]
    await parts.inventory.learn(guests)
    parts.context.guests = tuple(guests)
    for one in guests:
        parts.stream.emit(GuestPlanned(at=parts.stream.now(), guest=one))
    story = parts.stream.story
    if guest is None:
        await parts.hooks.fire(hook, report=story.report())
        return story.report().hooks
    box = parts.policies.of(guest).hooks.timeout
    result = story.result(guest.key)
    await parts.hooks.fire(hook, guest, box=box, since=parts.loop.time(), result=result, attempts=())
    return story.result(guest.key).hooks
