"""Runs of lastcall through the proxy, and everything that is needed to judge them."""

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults.proxy import Proxy
from faults.rules import Rule
from faults.traffic import Traffic
from faults.world import World
from lab.patience import LONGEST
from support import AWAKE, PROGRAM

_MORTAL = ("setpriv", "--pdeathsig", "KILL")  # it ends with the thread that started it, however that ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """How lastcall is called. `deadline`: seconds."""

    name: str
    words: tuple[str, ...]
    deadline: float
    forces: bool = False
    host_stop: bool = False
    restores: bool = False

    @property
    def command(self) -> list[str]:
        """The words after the configuration."""
        return [*self.words, "--deadline", f"{self.deadline:g}s", "--json"]


BY_HAND = Mode(name="by hand", words=("shutdown", "--yes"), deadline=6.0)
FORCED = Mode(name="forced", words=("shutdown", "--yes", "--force"), deadline=8.0, forces=True)
HOST_STOP = Mode(
    name="host stop", words=("shutdown", "--reason", "poweroff"), deadline=8.0, forces=True, host_stop=True
)
RESTORE = Mode(name="restore", words=("restore",), deadline=10.0, restores=True)
SHUTDOWNS = (BY_HAND, FORCED, HOST_STOP)


@dataclass(slots=True, kw_only=True)
class Run:
    """One run. Times are seconds of the monotonic clock; `code` is negative for a signal, None = it had to be killed.

    `before`, `after`: what each guest did, by the judge. `listed_before`, `listed`: who is on the list, and whether
    parked.
    """

    case: str
    mode: Mode
    rules: Sequence[Rule]
    began: float
    ended: float = 0.0
    code: int | None = None
    out: str = ""
    err: str = ""
    before: dict[str, str] = field(default_factory=dict[str, str])
    after: dict[str, str] = field(default_factory=dict[str, str])
    listed_before: dict[str, bool] = field(default_factory=dict[str, bool])
    listed: dict[str, bool] = field(default_factory=dict[str, bool])
    traffic: Traffic = field(default_factory=Traffic)
    lag: float = 0.0

    @property
    def report(self) -> Any:
        """Its report's JSON; None where it printed none."""
        try:
            return json.loads(self.out)
        except ValueError:
            return None

    @property
    def slow(self) -> bool:
        """Whether this machine was so busy that a quarter of the time was over before the run said a word."""
        first = min((one.at for one in self.traffic.passed), default=self.began)
        return first - self.began + self.lag > self.mode.deadline / 4


def _nothing(_run: "subprocess.Popen[str]") -> None:
    """Nothing is done to the client or the daemon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is run and what happens to it. `prefix`: words before the program.

    `started` is called with the process, and `meddle` as well, when a `tell` rule is met. `calm` is called after the
    run, before it is judged.
    """

    mode: Mode
    rules: Sequence[Rule] = ()
    what: str = ""
    prefix: Sequence[str] = ()
    program: Sequence[str] = (str(PROGRAM),)
    started: "Callable[[subprocess.Popen[str]], None]" = _nothing
    meddle: "Callable[[subprocess.Popen[str]], None]" = _nothing
    calm: Callable[[], None] | None = None

    def __str__(self) -> str:
        return f"{self.mode.name}: {', '.join([*map(str, self.rules), *filter(None, [self.what])]) or 'no fault'}"


def run(world: World, case: Case) -> Run:
    """Do it, with every guest running before a shutdown and off before a restore."""
    world.reset(running=not case.mode.restores)
    if case.mode.restores and world.entries is None:
        _ = run(world, Case(mode=HOST_STOP))
        world.entries = (world.state / "state.json").read_text()
        world.reset(running=False)
    process: list[subprocess.Popen[str]] = []
    told = Run(case=str(case), mode=case.mode, rules=case.rules, began=0.0)
    told.before, told.listed_before = world.states(), world.listed()
    proxy = Proxy(world.lab.socket, world.socket, case.rules, lambda: case.meddle(process[0]))
    with proxy:
        command = [*AWAKE, *_MORTAL, *case.prefix, *case.program, "--config", str(world.config), *case.mode.command]
        told.began = time.monotonic()
        process.append(_start(command, world.folder))
        case.started(process[0])
        _await(process[0], told)
        told.ended = time.monotonic()
    if case.calm:
        case.calm()
    told.traffic, told.lag = proxy.traffic, proxy.lag
    told.after, told.listed = world.states(), world.listed()
    return told


def _start(command: Sequence[str], folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder
    )


def _await(process: "subprocess.Popen[str]", told: Run) -> None:
    """Wait for its end; one that does not come to it is killed, and has no code."""
    try:
        told.out, told.err = process.communicate(timeout=min(LONGEST, told.mode.deadline + 60.0))
        told.code = process.returncode
    except subprocess.TimeoutExpired:
        told.code = None
    finally:
        if process.poll() is None:  # also where we are interrupted: nobody else would end it
            process.kill()
            told.out, told.err = process.communicate()
