"""What a start costs, in CPU time: a busy machine changes that less than seconds, and its ratio to virsh hardly."""

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.daemon import Daemon
from lab.guests import driver_guests
from support import PROGRAM, write_config

REPEATS = 12
COMMANDS: Mapping[str, Sequence[str]] = {
    "--version": ["--version"],
    "status": ["status"],
    "report": ["report"],
    "announce": ["announce", "--reason", "power"],
    "forget": ["forget", "--all"],
    "stamp": ["stamp"],
    "plan": ["plan"],
    "shutdown": ["-q", "shutdown", "--yes"],
}
LEAST = "import gc; gc.disable(); from bench.least_start import main; main()"
"""As lastcall does, without the garbage collector while it loads."""
FEW, MANY, CROWD = 400, 1200, 5000  # guests


@dataclass(frozen=True)
class Cost:
    """CPU time in milliseconds (user and system), and peak memory in MB."""

    cpu: float
    peak: float


def cost(command: Sequence[str], *, repeats: int = REPEATS, env: Mapping[str, str] | None = None) -> Cost:
    """The least that a command took of several times, its children left out."""
    nowhere = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
    # Where nothing may be kept of what is compiled, each start would compile every module anew, as none that is
    # installed does.
    around = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    costs: list[Cost] = []
    for _ in range(repeats):
        process = os.posix_spawn(command[0], list(command), {**around, **(env or {})}, file_actions=nowhere)
        _, _, used = os.wait4(process, 0)
        costs.append(Cost((used.ru_utime + used.ru_stime) * 1000, used.ru_maxrss / 1024))
    return min(costs, key=lambda one: one.cpu)


def rows(lab: Daemon, old: Path | None) -> Iterator[str]:
    """The table, a line each. `old`: the program of another installation, measured beside ours."""
    programs = [*([old] if old else []), PROGRAM]
    virsh = cost(["/usr/bin/virsh", "-c", lab.test, "list"]).cpu
    yield f"| CPU ms | {'before | ' if old else ''}now | × `virsh list` ({virsh:.0f} ms) |"
    yield f"| --- | {'---: | ' if old else ''}---: | ---: |"
    for name, words in COMMANDS.items():
        yield _row(f"`{name}`", [_start(program, words).cpu for program in programs], virsh)
    yield _row("a completion", [_completion(program).cpu for program in programs], virsh)
    yield _row("`shutdown --from-unit`", [_from_unit(program).cpu for program in programs], virsh)
    least = cost([sys.executable, "-c", LEAST], env={"PYTHONPATH": str(Path(__file__).parents[1])}).cpu
    yield f"| its libraries alone | {'— | ' if old else ''}{least:.0f} | {least / virsh:.1f} |"
    slopes, peaks = zip(*(_crowd(lab, program) for program in programs), strict=True)
    yield _row(f"each guest above {FEW}", slopes, virsh, digits=2)
    yield _row(f"peak MB with {CROWD} guests", peaks, None)


def _row(what: str, figures: Sequence[float], virsh: float | None, digits: int = 0) -> str:
    cells = [f"{figure:.{digits}f}" for figure in figures]
    ratio = "—" if virsh is None else f"{figures[-1] / virsh:.{2 if digits else 1}f}"
    return f"| {what} | {' | '.join(cells)} | {ratio} |"


def _start(program: Path, words: Sequence[str]) -> Cost:
    """One guest of the driver inside the process, which is there anew for each."""
    with tempfile.TemporaryDirectory(prefix="lastcall-bench-") as name:
        config = write_config(Path(name), "test:///default")
        cost([str(program), "--config", str(config), "-q", "shutdown", "--yes"], repeats=1)  # something to report
        return cost([str(program), "--config", str(config), *words])


def _completion(program: Path) -> Cost:
    """Of a guest's name, by files: what libvirt takes for an answer comes to that."""
    with tempfile.TemporaryDirectory(prefix="lastcall-bench-") as name:
        config = write_config(Path(name), "test:///default")
        cost([str(program), "--config", str(config), "-q", "shutdown", "--yes"], repeats=1)  # somebody to bring back
        words = {"_LASTCALL_COMPLETE": "bash", "_LASTCALL_LINE": f"lastcall --config {config} restore "}
        return cost([str(program), "complete"], env=words)


def _from_unit(program: Path) -> Cost:
    with tempfile.TemporaryDirectory(prefix="lastcall-bench-") as name:
        config = write_config(Path(name), "test:///default")
        return cost([str(program), "shutdown", "--from-unit"], env={"LASTCALL_CONFIG": str(config)})


def _crowd(lab: Daemon, program: Path) -> tuple[float, float]:
    """CPU ms for each guest beyond the first few hundred, and the peak (MB) with thousands."""
    few, many = (_shutdown(lab, program, count, repeats=3).cpu for count in (FEW, MANY))
    return (many - few) / (MANY - FEW), _shutdown(lab, program, CROWD, repeats=1).peak


def _shutdown(lab: Daemon, program: Path, count: int, *, repeats: int) -> Cost:
    costs: list[Cost] = []
    with tempfile.TemporaryDirectory(prefix="lastcall-bench-") as name:
        config = write_config(Path(name), lab.test)
        for _ in range(repeats):
            with driver_guests(lab, [f"guest-{number:04}" for number in range(count)]):
                costs.append(cost([str(program), "--config", str(config), "-q", "shutdown", "--json"], repeats=1))
    return min(costs, key=lambda one: one.cpu)
